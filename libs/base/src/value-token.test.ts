import { describe, expect, it } from 'vitest';
import { entityScope, valueToken } from './value-token.js';

const KEY = 'a key of at least 16 characters';
const SEX = { project: 'default', of: 'person:sex' };

describe('a token of a value', () => {
  it("is what Python's hmac gives", () => {
    // base64.urlsafe_b64encode(hmac.new(key, b'default\0person:sex\x00female', 'sha256').digest()[:16]).rstrip(b'=')
    expect(valueToken(KEY, SEX, 'female')).toBe('XzVUEJgwjxJpGom7qcm-5w');
    expect(valueToken(KEY, entityScope('default', ['person_id']), '42')).toBe('MuaW4M_nSkMKJOdubYfdkw');
  });

  it('is equal for equal values of a feature, and for nothing else', () => {
    const tokens = [
      valueToken(KEY, SEX, 1),
      valueToken(KEY, SEX, 2),
      valueToken(KEY, { ...SEX, of: 'person:age' }, 1),
      valueToken(KEY, { ...SEX, project: 'other' }, 1),
      valueToken(`${KEY}.`, SEX, 1),
    ];
    expect(new Set(tokens).size).toBe(tokens.length);
    expect(valueToken(KEY, SEX, '1')).toBe(tokens[0]);
  });
});
