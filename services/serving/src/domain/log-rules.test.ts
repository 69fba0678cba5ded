import { Signature } from '@headrace/contracts/registry/v1/registry';
import { valueToken } from '@headrace/base/value-token';
import { describe, expect, it } from 'vitest';
import { compileLogRules, ValueTokens, type LogPolicy } from './log-rules.js';

const KEY = 'sixteen letters!';
const signature = Signature.fromPartial({
  features: ['age', 'sex'].map((name) => ({ name, reference: `person:${name}`, type: 'int64' })),
  protectedFeatures: ['sex', 'born'].map((name) => ({ name, reference: `person:${name}`, type: 'string' })),
  entityKeys: ['person_id'],
});

function kinds(log: LogPolicy, personal: string[] | undefined, key = KEY): Record<string, string> | undefined {
  const rules = compileLogRules({ project: 'default', signature, log, personal }, key);
  if (!rules) return undefined;
  const columns = [...rules.redacted].map(([column, { kind }]) => [column, kind]);
  return { ...Object.fromEntries(columns), ...(rules.entity ? { entity: rules.entity.kind } : {}) } as Record<string, string>;
}

describe('what the log holds of a version', () => {
  it.each<[string, LogPolicy, string[] | undefined, Record<string, string> | undefined]>([
    ['all, when nothing is personal and nobody chose', { redact: {} }, [], undefined],
    ['nothing of a personal feature', { redact: {} }, ['person:age'], { age: 'omit' }],
    [
      'tokens of a personal protected attribute, seen by the model or not',
      { redact: {} },
      ['person:sex', 'person:born'],
      { sex: 'hash', born: 'hash' },
    ],
    ['what the model chose, of personal ones too', { redact: { age: 'hash', sex: 'omit' } }, ['person:sex'], { age: 'hash', sex: 'omit' }],
    [
      'no column before the feature store has spoken',
      { redact: { age: 'hash' } },
      undefined,
      { age: 'hash', sex: 'unknown', born: 'unknown' },
    ],
    ['tokens of entity keys, when the model wants it', { redact: {}, entity: 'hash' }, [], { entity: 'hash' }],
    ['all, at a rate of its own', { redact: {}, sampleRate: 0.5 }, [], {}],
  ])('is %s', (_, log, personal, expected) => {
    expect(kinds(log, personal)).toEqual(expected);
  });

  it('is nothing where a token was wanted and there is no key', () => {
    expect(kinds({ redact: { age: 'hash' }, entity: 'hash' }, ['person:sex'], '')).toEqual({
      age: 'keyless',
      sex: 'keyless',
      entity: 'keyless',
    });
  });

  it('has one token for equal values, none for what is missing, and the right one however many values came before', () => {
    const scope = { project: 'default', of: 'person:age' };
    const tokens = new ValueTokens(KEY, scope);
    expect([tokens.of(Number.NaN), tokens.of('')]).toEqual(['', '']);
    for (let i = 0; i < 10_000; i++) expect(tokens.of(i % 5_000)).toBe(valueToken(KEY, scope, i % 5_000));
  });
});
