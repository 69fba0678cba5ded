import { describe, expect, it } from 'vitest';
import { FeatureBlock } from './feature-block.js';
import { compileInputPlan } from './input-plan.js';

const input = (name: string, type = 'float64', view = 'v') => ({ name, type, reference: `${view}:${name}` });

describe('input plan', () => {
  it('orders numeric features as the signature does, and lets protected attributes ride along once', () => {
    const plan = compileInputPlan(
      [input('a'), input('t', 'string'), input('b', 'int64')],
      [input('b', 'int64'), input('g', 'int64', 'w'), input('h', 'string', 'w')],
    );
    expect(plan.numbers.map((s) => s.name)).toEqual(['a', 'b']);
    expect(plan.texts.map((s) => s.name)).toEqual(['t']);
    expect([...plan.extraNumbers, ...plan.extraTexts].map((s) => s.name)).toEqual(['g', 'h']);
    expect(plan.lookups.map((l) => [l.view, l.slots.map((s) => s.name)])).toEqual([
      ['v', ['a', 't', 'b']],
      ['w', ['g', 'h']],
    ]);
  });

  it.each([
    ['no feature', [], /names no feature/],
    ['a name given twice', [input('a'), input('a')], /names a twice/],
    ['an embedding', [input('a', 'embedding')], /an embedding; models take single numbers/],
    ['an unknown type', [input('a', 'decimal')], /unknown type "decimal"/],
  ])('refuses %s', (_name, features, message) => {
    expect(() => compileInputPlan(features, [])).toThrow(message);
  });
});

describe('feature block', () => {
  it('copies rows with all that belongs to them, and clears to missing', () => {
    const plan = compileInputPlan([input('a'), input('b'), input('t', 'string')], [input('g', 'int64')]);
    const source = new FeatureBlock(plan, 3);
    source.numbers.set([1, 2, 3, 4, 5, 6]);
    source.extraNumbers.set([7, 8, 9]);
    source.texts[0]!.splice(0, 3, 'x', 'y', 'z');
    const target = new FeatureBlock(plan, 4);
    target.clear(0, 4);
    target.copyFrom(source, 1, 2, 2);
    expect([...target.numbers]).toEqual([Number.NaN, Number.NaN, Number.NaN, Number.NaN, 3, 4, 5, 6]);
    expect([...target.extraNumbers]).toEqual([Number.NaN, Number.NaN, 8, 9]);
    expect(target.texts[0]).toEqual(['', '', 'y', 'z']);
  });
});
