import { seededRandom } from '@headrace/base/random';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileExpression, functionNames, type Variable } from './compile.js';
import { DEPTH_MAX } from './parser.js';
import { LENGTH_MAX } from './tokens.js';
import { ExpressionError, type ExpressionValue } from './value.js';

const VARIABLES: readonly Variable[] = [
  { name: 'n', type: 'int64' },
  { name: 'x', type: 'float64' },
  { name: 's', type: 'string' },
  { name: 'b', type: 'bool' },
  { name: 't', type: 'timestamp' },
  { name: 'v', type: 'embedding' },
];
const AT = Date.UTC(2016, 1, 29, 23, 30);
const ROW: readonly ExpressionValue[] = [7, 2.5, 'Bern', true, AT, [3, 4]];
const NULLS: readonly ExpressionValue[] = VARIABLES.map(() => null);

const evaluate = (source: string, row: readonly ExpressionValue[] = ROW): ExpressionValue =>
  compileExpression(source, VARIABLES).evaluate(row);
const typeOf = (source: string): string => compileExpression(source, VARIABLES).type;

describe('an expression', () => {
  it.each<[string, ExpressionValue, string]>([
    ['1 + 2 * 3', 7, 'int64'],
    ['(1 + 2) * 3', 9, 'int64'],
    ['7 / 2', 3.5, 'float64'],
    ['-n % 4', -3, 'int64'],
    ['n - -1', 8, 'int64'],
    ['2 * x', 5, 'float64'],
    ['1 - 1 - 1', -1, 'int64'],
    ['n > 6 and x <= 2.5', true, 'bool'],
    ['not n = 7 or b', true, 'bool'],
    ['not (n = 7 or b)', false, 'bool'],
    ['n == 7', true, 'bool'],
    ['n in (1, 7)', true, 'bool'],
    ["s not in ('Basel', 'Bern')", false, 'bool'],
    ["if(s = 'Bern', 'capital', 'other')", 'capital', 'string'],
    ['if(b, n, x)', 7, 'float64'],
    ['coalesce(null, n, 0)', 7, 'int64'],
    ['is_null(n)', false, 'bool'],
    ['abs(-n)', 7, 'int64'],
    ['round(x)', 3, 'int64'],
    ['min(n, x, 9)', 2.5, 'float64'],
    ["concat(upper(s), '-', lower(s))", 'BERN-bern', 'string'],
    ['substring(s, 1, 2)', 'er', 'string'],
    ["replace(s, 'e', 'a')", 'Barn', 'string'],
    ["to_number('1e3')", 1000, 'float64'],
    ["'it\\'s'", "it's", 'string'],
    ['hour(t)', 23, 'int64'],
    ["hour(t, 'Europe/Berlin')", 0, 'int64'],
    ["day(t, 'Europe/Berlin')", 1, 'int64'],
    ["is_holiday(add_seconds(t, 86400 * 126), 'US')", true, 'bool'],
    ['seconds_between(t, add_seconds(t, 90))', 90, 'float64'],
    ['norm(v) + at(v, 0)', 8, 'float64'],
    ['dot(v, v)', 25, 'float64'],
  ])('%s is %s', (source, value, type) => {
    expect([evaluate(source), typeOf(source)]).toEqual([value, type]);
  });

  it.each<[string, ExpressionValue]>([
    ['n + 1', null],
    ['n = n', null],
    ['not b', null],
    ['b and false', false],
    ['b and true', null],
    ['b or true', true],
    ['b or false', null],
    ['if(b, 1, 2)', 2],
    ['coalesce(n, 3)', 3],
    ['is_null(s)', true],
    ['length(s)', null],
    ['n in (1, 2)', null],
  ])('%s of nulls is %s', (source, value) => {
    expect(evaluate(source, NULLS)).toBe(value);
  });

  it.each([
    '1 / 0',
    'sqrt(-1)',
    '9007199254740991 + 1',
    '1e308 * 10',
    'n % 0',
    'at(v, 9)',
    'ln(0)',
    "to_number('0x10')",
    'add_seconds(t, 1e300)',
  ])('%s has no value and is null', (source) => {
    expect(evaluate(source)).toBeNull();
  });

  it('never gives minus zero, which other stores write in other bytes', () => {
    expect(Object.is(evaluate('0 * -1'), 0)).toBe(true);
    expect(Object.is(evaluate('-(0)'), 0)).toBe(true);
    expect(Object.is(evaluate('round(-0.4)'), 0)).toBe(true);
  });

  it.each<[string, number, RegExp]>([
    ['', 1, /a value is wanted, not the end/],
    ['n +', 4, /a value is wanted/],
    ['(n', 3, /`\)` is wanted/],
    ['n n', 3, /operator or the end is wanted, not "n"/],
    ['n # 2', 3, /"#" has no meaning/],
    ["'open", 1, /not closed/],
    ['m + 1', 1, /m is not known here; known: n, x/],
    ['n + s', 3, /\+ wants numbers, not int64 and string/],
    ["s + 'a'", 3, /joined by concat/],
    ['n and b', 3, /and wants true or false, not int64/],
    ['s < n', 3, /string and int64 cannot be compared/],
    ['if(b, 1)', 1, /if wants 3 arguments/],
    ["if(b, 1, 'a')", 1, /one type, not int64 and string/],
    ['median(n)', 1, /there is no function median/],
    ['length(n)', 8, /length wants string here, not int64/],
    ['abs()', 1, /abs wants 1 argument/],
    ["hour(t, 'Mars')", 9, /no time zone/],
    ['hour(t, s)', 9, /written out/],
    ["is_holiday(t, 'XX')", 15, /no holidays are known/],
    ['n in (s)', 7, /only numbers and texts/],
    ["n in ('a')", 7, /string cannot be among values of type int64/],
    ['1 < 2 < 3', 7, /operator or the end/],
    ['99999999999999999999', 1, /beyond 2\^53/],
    [`${'('.repeat(DEPTH_MAX + 1)}1${')'.repeat(DEPTH_MAX + 1)}`, DEPTH_MAX + 2, /nested deeper/],
    ['1'.padEnd(LENGTH_MAX + 1), LENGTH_MAX + 1, /at most 2000/],
  ])('%s is refused at its place', (source, position, message) => {
    let thrown: unknown;
    try {
      compileExpression(source, VARIABLES);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(ExpressionError);
    expect((thrown as ExpressionError).message).toMatch(message);
    expect((thrown as ExpressionError).position).toBe(position);
  });

  it('keeps memory in bounds, whatever it makes of a text', () => {
    const long = 'x'.repeat(4_000);
    const row = ROW.with(2, long);
    expect(evaluate(`concat(${Array.from({ length: 200 }, () => 's').join(', ')})`, row)).toBeNull();
    expect(evaluate("replace(s, 'x', s)", row)).toBeNull();
  });
});

describe('fuzz', () => {
  const words = [
    ...functionNames(),
    ...VARIABLES.map((v) => v.name),
    ...'or and not in true false null ( ) , + - * / % = != < <= > >='.split(' '),
  ];
  words.push('1', '2.5', "'a'", "'Europe/Berlin'", "'US'", '"', "'", '\\', '#', '  ', '0', '1e9');

  it('either refuses with a position inside of the source, or gives a value of the type that was promised', () => {
    const random = seededRandom(17);
    const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)]!;
    let compiled = 0;
    for (let n = 0; n < 30_000; n++) {
      const source = Array.from({ length: 1 + Math.floor(random() * 10) }, () => pick(words)).join(pick(['', ' ', ' ']));
      if (check(source)) compiled++;
    }
    expect(compiled).toBeGreaterThan(500);
  });

  it('survives any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (source) => void check(source)),
      { seed: 4, numRuns: 3_000 },
    );
  });

  /** Whole expressions, grown by rules, so that evaluation is reached far more often than by words at random. */
  it('never evaluates to what no store can hold', () => {
    const random = seededRandom(23);
    const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)]!;
    const grow = (depth: number): string => {
      if (depth === 0) return pick(['n', 'x', 's', 'b', 't', 'v', 'null', '0', '-3', '1e200', "'ab'", "''", 'true']);
      const inner = (): string => grow(depth - 1);
      const operator = pick(['+', '-', '*', '/', '%', '=', '<', 'and', 'or']);
      return pick([
        () => `(${inner()} ${operator} ${inner()})`,
        () => `${pick(functionNames())}(${Array.from({ length: 1 + Math.floor(random() * 3) }, inner).join(', ')})`,
        () => `if(${inner()}, ${inner()}, ${inner()})`,
        () => inner(),
      ])();
    };
    let compiled = 0;
    for (let n = 0; n < 40_000; n++) if (check(grow(1 + Math.floor(random() * 3)))) compiled++;
    expect(compiled).toBeGreaterThan(3_000);
  });

  function check(source: string): boolean {
    let expression;
    try {
      expression = compileExpression(source, VARIABLES);
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      expect(error.position).toBeGreaterThanOrEqual(1);
      expect(error.position).toBeLessThanOrEqual(source.length + 1);
      return false;
    }
    for (const row of [ROW, NULLS, ROW.with(0, null), ROW.with(0, Number.MAX_SAFE_INTEGER).with(1, -1e308).with(2, '')]) {
      const value = expression.evaluate(row);
      expect(isOf(expression.type, value), `${source} of type ${expression.type} gave ${String(value)}`).toBe(true);
    }
    return true;
  }

  function isOf(type: string, value: ExpressionValue): boolean {
    if (value === null) return true;
    if (type === 'int64' || type === 'timestamp') return Number.isSafeInteger(value) && !Object.is(value, -0);
    if (type === 'float64') return Number.isFinite(value) && !Object.is(value, -0);
    if (type === 'embedding') return Array.isArray(value);
    return typeof value === (type === 'bool' ? 'boolean' : 'string');
  }
});
