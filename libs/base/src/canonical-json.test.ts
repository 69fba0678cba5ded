import { expect, it } from 'vitest';
import { canonicalJson, contentHash } from './canonical-json.js';

it('gives equal bytes for equal values whatever the key order', () => {
  expect(canonicalJson({ b: [1, { y: 2, x: null }], a: 'é' })).toBe('{"a":"é","b":[1,{"x":null,"y":2}]}');
  expect(contentHash({ a: 1, b: 2 })).toBe(contentHash({ b: 2, a: 1 }));
  expect(contentHash({ a: 1 })).not.toBe(contentHash({ a: 2 }));
});
