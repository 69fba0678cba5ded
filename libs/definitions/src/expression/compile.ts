import { FUNCTIONS, TEXT_MAX, type ExpressionFunction } from './functions.js';
import { parseExpression, type Node, type Operator } from './parser.js';
import { commonType, ExpressionError, fits, isNumeric, type ExpressionType, type ExpressionValue } from './value.js';

/** What an expression may name. */
export interface Variable {
  readonly name: string;
  readonly type: ExpressionType;
}

export interface CompiledExpression {
  readonly type: ExpressionType;
  /** Indices of the variables that it reads. */
  readonly reads: readonly number[];
  /** @param values one for each variable. Never throws, and never anything but a finite number, text, bool or null. */
  readonly evaluate: (values: readonly ExpressionValue[]) => ExpressionValue;
}

/**
 * Checks the types of an expression once and makes a function of it.
 *
 * Null: an operator or function with a null among its operands is null, except `and`, `or` and `not`, which are three-valued as in SQL
 * (`false and null` is false, `true or null` is true), `is_null`, `coalesce`, and `if`, for which a null condition is not true.
 * What has no value is null: division by zero, the root of a negative number, a whole number beyond 2^53, a text beyond 10,000 units.
 *
 * @throws ExpressionError with the position
 */
export function compileExpression(source: string, variables: readonly Variable[]): CompiledExpression {
  const reads = new Set<number>();
  const { type, run } = compileNode(parseExpression(source), { variables, reads });
  return { type, reads: [...reads].sort((a, b) => a - b), evaluate: run };
}

type Run = (values: readonly ExpressionValue[]) => ExpressionValue;

interface Typed {
  readonly type: ExpressionType;
  readonly run: Run;
}

interface Scope {
  readonly variables: readonly Variable[];
  readonly reads: Set<number>;
}

function compileNode(node: Node, scope: Scope): Typed {
  switch (node.kind) {
    case 'literal':
      return literal(node);
    case 'name':
      return variable(node, scope);
    case 'unary':
      return node.operator === 'not' ? not(node, scope) : negate(node, scope);
    case 'binary':
      return binary(node, scope);
    case 'in':
      return among(node, scope);
    case 'call':
      return call(node, scope);
  }
}

function literal({ value, isWhole }: Node & { kind: 'literal' }): Typed {
  const run = (): ExpressionValue => value;
  if (value === null) return { type: 'null', run };
  if (typeof value === 'number') return { type: isWhole ? 'int64' : 'float64', run };
  return { type: typeof value === 'boolean' ? 'bool' : 'string', run };
}

function variable({ name, position }: Node & { kind: 'name' }, { variables, reads }: Scope): Typed {
  const index = variables.findIndex((one) => one.name === name);
  if (index < 0) throw new ExpressionError(`${name} is not known here; known: ${variables.map((one) => one.name).join(', ')}`, position);
  reads.add(index);
  return { type: variables[index]!.type, run: (values) => values[index] ?? null };
}

function negate({ of, position }: Node & { kind: 'unary' }, scope: Scope): Typed {
  const { type, run } = compileNode(of, scope);
  if (!isNumeric(type)) throw new ExpressionError(`- wants a number, not ${type}`, position);
  return {
    type,
    run: (values) => {
      const value = run(values);
      return value === null ? null : 0 - (value as number);
    },
  };
}

function not({ of, position }: Node & { kind: 'unary' }, scope: Scope): Typed {
  const run = truth(compileNode(of, scope), 'not', position);
  return {
    type: 'bool',
    run: (values) => {
      const value = run(values);
      return value === null ? null : !value;
    },
  };
}

function truth({ type, run }: Typed, operator: string, position: number): Run {
  if (type !== 'bool' && type !== 'null') throw new ExpressionError(`${operator} wants true or false, not ${type}`, position);
  return run;
}

function binary(node: Node & { kind: 'binary' }, scope: Scope): Typed {
  const { operator, position } = node;
  const left = compileNode(node.left, scope);
  const right = compileNode(node.right, scope);
  if (operator === 'and' || operator === 'or') return logic(operator, truth(left, operator, position), truth(right, operator, position));
  return operator in COMPARE ? compare(operator, left, right, position) : arithmetic(operator, left, right, position);
}

/** Three-valued: the deciding value decides, whatever the other one is. */
function logic(operator: 'and' | 'or', left: Run, right: Run): Typed {
  const deciding = operator === 'or';
  return {
    type: 'bool',
    run: (values) => {
      const a = left(values);
      if (a === deciding) return deciding;
      const b = right(values);
      if (b === deciding) return deciding;
      return a === null || b === null ? null : !deciding;
    },
  };
}

/** Texts by UTF-16 units, false before true. */
const COMPARE: Readonly<Record<string, (a: number | string, b: number | string) => boolean>> = {
  '=': (a, b) => a === b,
  '!=': (a, b) => a !== b,
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
};

function compare(operator: Operator, left: Typed, right: Typed, position: number): Typed {
  const type = commonType(left.type, right.type);
  if (type === undefined || type === 'embedding') throw new ExpressionError(`${left.type} and ${right.type} cannot be compared`, position);
  const test = COMPARE[operator]!;
  return {
    type: 'bool',
    run: (values) => {
      const a = left.run(values);
      const b = right.run(values);
      return a === null || b === null ? null : test(a as number, b as number);
    },
  };
}

const ARITHMETIC: Readonly<Record<string, (a: number, b: number) => number>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  /** The sign of the first, as in SQL and C. */
  '%': (a, b) => a % b,
};

function arithmetic(operator: Operator, left: Typed, right: Typed, position: number): Typed {
  if (!isNumeric(left.type) || !isNumeric(right.type)) {
    const hint = operator === '+' && left.type === 'string' ? '; texts are joined by concat' : '';
    throw new ExpressionError(`${operator} wants numbers, not ${left.type} and ${right.type}${hint}`, position);
  }
  const isWhole = operator !== '/' && left.type !== 'float64' && right.type !== 'float64';
  const compute = ARITHMETIC[operator]!;
  return {
    type: isWhole ? 'int64' : 'float64',
    run: (values) => {
      const a = left.run(values);
      const b = right.run(values);
      return a === null || b === null ? null : sound(compute(a as number, b as number), isWhole);
    },
  };
}

/** A number that every store can hold, else null; -0 becomes 0, so that equal content has equal bytes. */
function sound(value: number, isWhole: boolean): number | null {
  const isSound = isWhole ? Number.isSafeInteger(value) : Number.isFinite(value);
  return isSound ? value + 0 : null;
}

function among(node: Node & { kind: 'in' }, scope: Scope): Typed {
  const of = compileNode(node.of, scope);
  const choices = node.choices.map((choice) => {
    const { type, run } = compileNode(choice, scope);
    if (type === 'null' || commonType(of.type, type) === undefined || of.type === 'embedding')
      throw new ExpressionError(`${type} cannot be among values of type ${of.type}`, choice.position);
    return run([]);
  });
  const known = new Set(choices);
  return {
    type: 'bool',
    run: (values) => {
      const value = of.run(values);
      return value === null ? null : known.has(value);
    },
  };
}

function call(node: Node & { kind: 'call' }, scope: Scope): Typed {
  const args = node.args.map((arg) => compileNode(arg, scope));
  if (node.name === 'if') return choose(node, args);
  if (node.name === 'coalesce') return coalesce(node, args);
  if (node.name === 'is_null') return isNull(node, args);
  const found = Object.hasOwn(FUNCTIONS, node.name) ? FUNCTIONS[node.name] : undefined;
  if (!found) throw new ExpressionError(`there is no function ${node.name}; known: ${functionNames().join(', ')}`, node.position);
  checkArguments(node, found, args);
  const type = found.result === 'same' ? args.map((arg) => arg.type).reduce((a, b) => commonType(a, b)!) : found.result;
  const runs = args.map((arg) => arg.run);
  const apply = found.call as (...values: ExpressionValue[]) => ExpressionValue;
  return {
    type,
    run: (values) => {
      const given = new Array<ExpressionValue>(runs.length);
      for (let i = 0; i < runs.length; i++) {
        const value = runs[i]!(values);
        if (value === null) return null;
        given[i] = value;
      }
      const result = apply(...given);
      if (typeof result === 'number') return type === 'timestamp' ? soundTime(result) : sound(result, type === 'int64');
      return typeof result === 'string' && result.length > TEXT_MAX ? null : result;
    },
  };
}

/** Years 1 to 9999, as in a feature of type timestamp. */
function soundTime(ms: number): number | null {
  return ms >= -62_135_596_800_000 && ms <= 253_402_300_799_999 ? ms + 0 : null;
}

export function functionNames(): string[] {
  return ['if', 'coalesce', 'is_null', ...Object.keys(FUNCTIONS)].sort();
}

function checkArguments({ name, args: nodes, position }: Node & { kind: 'call' }, of: ExpressionFunction, args: readonly Typed[]): void {
  const least = of.args.length - (of.optional ?? 0);
  if (args.length < least || (args.length > of.args.length && !of.isRepeated)) {
    const count = of.isRepeated ? `at least ${least}` : of.optional ? `${least} or ${of.args.length}` : String(least);
    throw new ExpressionError(`${name} wants ${count} argument(s): ${of.args.join(', ')}`, position);
  }
  for (const [i, { type, run }] of args.entries()) {
    const wanted = of.args[Math.min(i, of.args.length - 1)]!;
    if (!fits(type, wanted)) throw new ExpressionError(`${name} wants ${wanted} here, not ${type}`, nodes[i]!.position);
    const check = of.literal?.[i];
    if (!check) continue;
    if (nodes[i]!.kind !== 'literal') throw new ExpressionError(`${name} wants this written out, such as 'UTC'`, nodes[i]!.position);
    const fault = check(run([]));
    if (fault) throw new ExpressionError(fault, nodes[i]!.position);
  }
}

function choose({ position, args: nodes }: Node & { kind: 'call' }, args: readonly Typed[]): Typed {
  const [condition, yes, no] = args;
  if (!condition || !yes || !no || args.length !== 3) throw new ExpressionError('if wants 3 arguments: condition, then, else', position);
  const test = truth(condition, 'if', nodes[0]!.position);
  const type = commonType(yes.type, no.type);
  if (type === undefined) throw new ExpressionError(`both ways of if must have one type, not ${yes.type} and ${no.type}`, position);
  return { type, run: (values) => (test(values) === true ? yes.run(values) : no.run(values)) };
}

function coalesce({ position }: Node & { kind: 'call' }, args: readonly Typed[]): Typed {
  if (args.length === 0) throw new ExpressionError('coalesce wants at least 1 argument', position);
  const type = args.map((arg) => arg.type).reduce<ExpressionType | undefined>((a, b) => a && commonType(a, b), args[0]!.type);
  if (type === undefined) throw new ExpressionError(`coalesce wants one type, not ${args.map((arg) => arg.type).join(', ')}`, position);
  return {
    type,
    run: (values) => {
      for (const { run } of args) {
        const value = run(values);
        if (value !== null) return value;
      }
      return null;
    },
  };
}

function isNull({ position }: Node & { kind: 'call' }, args: readonly Typed[]): Typed {
  const [of] = args;
  if (!of || args.length !== 1) throw new ExpressionError('is_null wants 1 argument', position);
  return { type: 'bool', run: (values) => of.run(values) === null };
}
