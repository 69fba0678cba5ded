/** Types of an expression. A timestamp is epoch milliseconds; `null` is the type of the literal, which fits every other one. */
export type ExpressionType = 'int64' | 'float64' | 'string' | 'bool' | 'timestamp' | 'embedding' | 'null';

export type ExpressionValue = number | string | boolean | readonly number[] | null;

/** What is wrong with an expression, and where: the position counts characters from 1. */
export class ExpressionError extends Error {
  override readonly name = 'ExpressionError';

  constructor(
    message: string,
    readonly position: number,
  ) {
    super(`at ${position}: ${message}`);
  }
}

export function isNumeric(type: ExpressionType): boolean {
  return type === 'int64' || type === 'float64' || type === 'null';
}

/** The one type that both have, if any; whole and other numbers meet in float64. */
export function commonType(a: ExpressionType, b: ExpressionType): ExpressionType | undefined {
  if (a === b || b === 'null') return a;
  if (a === 'null') return b;
  return isNumeric(a) && isNumeric(b) ? 'float64' : undefined;
}

/** Whether a value of the type may stand where `wanted` is asked for. */
export function fits(type: ExpressionType, wanted: ExpressionType): boolean {
  return type === wanted || type === 'null' || (wanted === 'float64' && type === 'int64');
}
