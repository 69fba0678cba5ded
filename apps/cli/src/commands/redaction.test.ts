import { AppError } from '@headrace/base/errors';
import { entityScope, valueToken } from '@headrace/base/value-token';
import { VersionDescription } from '@headrace/contracts/serving/v1/serving';
import { describe, expect, it } from 'vitest';
import { redactionTable, tokenTable } from './redaction.js';

const KEY = 'the key of this very test';
const version = VersionDescription.fromPartial({
  project: 'default',
  model: 'employment',
  inputs: [
    { name: 'income', type: 'float64', reference: 'person:income' },
    { name: 'sex', type: 'string', reference: 'person:sex' },
  ],
  protectedAttributes: [
    { name: 'sex', type: 'string', reference: 'person:sex' },
    { name: 'born', type: 'string', reference: 'person:born' },
  ],
  entityKeys: ['person_id'],
  log: { redacted: { income: 'omit', sex: 'hash', born: 'keyless' }, entity: 'hash' },
});

describe('headrace redaction', () => {
  it('says of each column once what the log holds', () => {
    expect(redactionTable(version).map(({ column, logged }) => `${column}: ${logged}`)).toEqual([
      'income: nothing',
      'sex: a token',
      'born: nothing: serving has no HEADRACE_PREDICTION_LOG_HASH_KEY to make tokens',
      '(entity): a token',
    ]);
    const open = redactionTable({ ...version, entityKeys: [], log: undefined });
    expect(new Set(open.map(({ logged }) => logged))).toEqual(new Set(['the value']));
  });

  it('makes the tokens that serving makes, of texts, of numbers as the log has them, and of entity keys', () => {
    expect(tokenTable(version, ['sex=f=m', 'income=0.1', '(entity)=42'], KEY).map(({ token }) => token)).toEqual([
      valueToken(KEY, { project: 'default', of: 'person:sex' }, 'f=m'),
      valueToken(KEY, { project: 'default', of: 'person:income' }, Math.fround(0.1)),
      valueToken(KEY, entityScope('default', ['person_id']), '42'),
    ]);
  });

  it.each([
    ['without a key', ['sex=f'], ''],
    ['for another column', ['size=1'], KEY],
    ['for no value', ['sex='], KEY],
  ])('refuses %s', (_, wanted, key) => {
    expect(() => tokenTable(version, wanted, key)).toThrow(AppError);
  });
});
