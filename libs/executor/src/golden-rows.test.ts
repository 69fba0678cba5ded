import { describe, expect, it } from 'vitest';
import { FeatureBlock } from './feature-block.js';
import { compareGoldenRows, fillGoldenRows, parseGoldenRows } from './golden-rows.js';
import { compileInputPlan } from './input-plan.js';

const plan = compileInputPlan(
  [
    { name: 'a', reference: 'v:a', type: 'float64' },
    { name: 'b', reference: 'v:b', type: 'bool' },
    { name: 't', reference: 'v:t', type: 'string' },
  ],
  [],
);
const row = (more: object = {}): object => ({ features: { b: true, a: 2, t: 'x' }, label: 1, probability: 0.75, ...more });

describe('golden rows', () => {
  it('are laid out by name, with null as a missing value', () => {
    const rows = parseGoldenRows({ rows: [row(), row({ features: { a: null, b: false, t: null } })] }, 'm/1');
    const block = new FeatureBlock(plan, 2);
    fillGoldenRows(rows, plan, block, 'm/1');
    expect([...block.numbers]).toEqual([2, 1, Number.NaN, 0]);
    expect(block.texts[0]).toEqual(['x', '']);
  });

  it('agree within 1e-4 and with equal labels', () => {
    const rows = parseGoldenRows({ rows: [row()] }, 'm/1');
    expect(() => compareGoldenRows(rows, Float32Array.of(0.75005), 0.5, 'm/1')).not.toThrow();
    expect(() => compareGoldenRows(rows, Float32Array.of(0.7503), 0.5, 'm/1')).toThrow(/golden row 0 with 0.750.* where training got 0.75/);
    expect(() => compareGoldenRows(rows, Float32Array.of(0.75), 0.76, 'm/1')).toThrow(/label 0/);
    expect(() => compareGoldenRows(rows, Float32Array.of(Number.NaN), 0.5, 'm/1')).toThrow(/NaN/);
  });

  it('of a regression agree within a share of their value', () => {
    const rows = parseGoldenRows({ rows: [{ features: { b: true, a: 2, t: 'x' }, label: 1, value: 250 }] }, 'm/1');
    expect(rows[0]!.score).toBe(250);
    expect(() => compareGoldenRows(rows, Float32Array.of(250.02), 15, 'm/1')).not.toThrow();
    expect(() => compareGoldenRows(rows, Float32Array.of(250.03), 15, 'm/1')).toThrow(/training got 250/);
  });

  it.each([
    ['none', { rows: [] }, /no usable golden rows/],
    ['another form', { answers: [1] }, /no usable golden rows/],
    ['a feature that is missing', { rows: [row({ features: { a: 1, b: true } })] }, /no value for t/],
    ['a text for a number', { rows: [row({ features: { a: 'x', b: true, t: 'x' } })] }, /"x" for a/],
  ])('are refused: %s', (_name, golden, message) => {
    expect(() => fillGoldenRows(parseGoldenRows(golden, 'm/1'), plan, new FeatureBlock(plan, 1), 'm/1')).toThrow(message);
  });
});
