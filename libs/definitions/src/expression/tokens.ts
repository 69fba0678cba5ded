import { ExpressionError } from './value.js';

export type TokenKind = 'number' | 'text' | 'name' | 'sign' | 'end';

export interface Token {
  readonly kind: TokenKind;
  /** Of a text: its content without quotes and escapes. */
  readonly text: string;
  /** From 1. */
  readonly position: number;
}

export const LENGTH_MAX = 2_000;

/** Longest first, so that `<=` is no `<`. */
const SIGNS = ['<=', '>=', '!=', '==', '<', '>', '=', '+', '-', '*', '/', '%', '(', ')', ','];

/** @throws ExpressionError */
export function tokenize(source: string): Token[] {
  if (source.length > LENGTH_MAX)
    throw new ExpressionError(`${source.length} characters; at most ${LENGTH_MAX} are allowed`, LENGTH_MAX + 1);
  const tokens: Token[] = [];
  let at = 0;
  while (at < source.length) {
    const position = at + 1;
    const char = source[at]!;
    if (char === ' ' || char === '\t' || char === '\n' || char === '\r') {
      at++;
      continue;
    }
    const word = match(NAME, source, at) ?? match(NUMBER, source, at);
    if (word !== undefined) {
      tokens.push({ kind: NAME_START.test(char) ? 'name' : 'number', text: word, position });
      at += word.length;
    } else if (char === "'" || char === '"') {
      const { text, end } = readText(source, at);
      tokens.push({ kind: 'text', text, position });
      at = end;
    } else {
      const sign = SIGNS.find((candidate) => source.startsWith(candidate, at));
      if (sign === undefined) throw new ExpressionError(`${JSON.stringify(char)} has no meaning here`, position);
      tokens.push({ kind: 'sign', text: sign, position });
      at += sign.length;
    }
  }
  tokens.push({ kind: 'end', text: 'the end', position: source.length + 1 });
  return tokens;
}

const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const NUMBER = /\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const NAME_START = /[A-Za-z_]/;

function match(pattern: RegExp, source: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(source)?.[0];
}

/** The quote and the backslash are escaped by a backslash. */
function readText(source: string, from: number): { text: string; end: number } {
  const quote = source[from]!;
  let text = '';
  for (let at = from + 1; at < source.length; at++) {
    const char = source[at]!;
    if (char === quote) return { text, end: at + 1 };
    if (char === '\\') {
      const next = source[++at];
      if (next !== quote && next !== '\\') throw new ExpressionError(`after a backslash only ${quote} or a backslash may stand`, at);
      text += next;
    } else text += char;
  }
  throw new ExpressionError(`the text is not closed; add ${quote}`, from + 1);
}
