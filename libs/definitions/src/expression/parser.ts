import { tokenize, type Token } from './tokens.js';
import { ExpressionError } from './value.js';

/** An expression as it was written. */
export type Node =
  | { readonly kind: 'literal'; readonly value: number | string | boolean | null; readonly isWhole: boolean; readonly position: number }
  | { readonly kind: 'name'; readonly name: string; readonly position: number }
  | { readonly kind: 'unary'; readonly operator: '-' | 'not'; readonly of: Node; readonly position: number }
  | { readonly kind: 'binary'; readonly operator: Operator; readonly left: Node; readonly right: Node; readonly position: number }
  | { readonly kind: 'in'; readonly of: Node; readonly choices: readonly Node[]; readonly position: number }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Node[]; readonly position: number };

export type Operator = 'or' | 'and' | '=' | '!=' | '<' | '<=' | '>' | '>=' | '+' | '-' | '*' | '/' | '%';

/** How deep parentheses, calls and signs may nest; long sums are no depth. */
export const DEPTH_MAX = 50;

/**
 *   or         = and { "or" and }
 *   and        = not { "and" not }
 *   not        = "not" not | comparison
 *   comparison = sum [ ("=" | "==" | "!=" | "<" | "<=" | ">" | ">=") sum | ["not"] "in" "(" literal { "," literal } ")" ]
 *   sum        = product { ("+" | "-") product }
 *   product    = sign { ("*" | "/" | "%") sign }
 *   sign       = "-" sign | primary
 *   primary    = number | text | "true" | "false" | "null" | name | name "(" [ or { "," or } ] ")" | "(" or ")"
 *
 * @throws ExpressionError
 */
export function parseExpression(source: string): Node {
  return new Parser(tokenize(source)).parse();
}

const LEVELS: readonly (readonly string[])[] = [['or'], ['and'], [], [], ['+', '-'], ['*', '/', '%']];
const NOT = 2;
const COMPARISON = 3;
const COMPARISONS: readonly string[] = ['=', '==', '!=', '<', '<=', '>', '>='];
const WORDS = new Set(['or', 'and', 'not', 'in', 'true', 'false', 'null']);

class Parser {
  #at = 0;
  #depth = 0;

  constructor(private readonly tokens: readonly Token[]) {}

  parse(): Node {
    const node = this.#level(0);
    if (this.#token.kind !== 'end') throw this.#unexpected('an operator or the end');
    return node;
  }

  get #token(): Token {
    return this.tokens[this.#at]!;
  }

  #level(level: number): Node {
    if (level === LEVELS.length) return this.#sign();
    if (level === NOT) return this.#not();
    if (level === COMPARISON) return this.#comparison();
    let left = this.#level(level + 1);
    while (this.#is(LEVELS[level]!)) {
      const { text, position } = this.#next();
      left = { kind: 'binary', operator: text as Operator, left, right: this.#level(level + 1), position };
    }
    return left;
  }

  #not(): Node {
    if (!this.#is(['not'])) return this.#level(COMPARISON);
    const { position } = this.#next();
    return this.#deeper(() => ({ kind: 'unary', operator: 'not', of: this.#not(), position }));
  }

  #comparison(): Node {
    const left = this.#level(COMPARISON + 1);
    const { position } = this.#token;
    if (this.#is(COMPARISONS)) {
      const operator = this.#next().text.replace('==', '=') as Operator;
      return { kind: 'binary', operator, left, right: this.#level(COMPARISON + 1), position };
    }
    const isNegated = this.#is(['not']);
    if (isNegated) this.#next();
    if (!this.#is(['in'])) {
      if (isNegated) throw this.#unexpected('in');
      return left;
    }
    this.#next();
    const node: Node = { kind: 'in', of: left, choices: this.#choices(), position };
    return isNegated ? { kind: 'unary', operator: 'not', of: node, position } : node;
  }

  #choices(): Node[] {
    this.#expect('(');
    const choices: Node[] = [];
    do {
      const choice = this.#sign();
      const isLiteral = choice.kind === 'literal' || (choice.kind === 'unary' && choice.of.kind === 'literal');
      if (!isLiteral) throw new ExpressionError('only numbers and texts may be listed after `in`', choice.position);
      choices.push(choice);
    } while (this.#skip(','));
    this.#expect(')');
    return choices;
  }

  #sign(): Node {
    if (!this.#is(['-'])) return this.#primary();
    const { position } = this.#next();
    return this.#deeper(() => ({ kind: 'unary', operator: '-', of: this.#sign(), position }));
  }

  #primary(): Node {
    const token = this.#token;
    const { text, position } = token;
    if (token.kind === 'number') {
      this.#next();
      const value = Number(text);
      const isWhole = /^\d+$/.test(text);
      if (isWhole && !Number.isSafeInteger(value))
        throw new ExpressionError(`${text} is beyond 2^53; whole numbers are not exact there`, position);
      if (!Number.isFinite(value)) throw new ExpressionError(`${text} is too large`, position);
      return { kind: 'literal', value, isWhole, position };
    }
    if (token.kind === 'text') {
      this.#next();
      return { kind: 'literal', value: text, isWhole: false, position };
    }
    if (token.kind === 'name' && Object.hasOwn(LITERALS, text)) {
      this.#next();
      return { kind: 'literal', value: LITERALS[text as keyof typeof LITERALS], isWhole: false, position };
    }
    if (token.kind === 'name' && !WORDS.has(text)) {
      this.#next();
      return this.#skip('(') ? { kind: 'call', name: text, args: this.#arguments(), position } : { kind: 'name', name: text, position };
    }
    if (!this.#skip('(')) throw this.#unexpected('a value');
    const inner = this.#deeper(() => this.#level(0));
    this.#expect(')');
    return inner;
  }

  #arguments(): Node[] {
    const args: Node[] = [];
    if (this.#skip(')')) return args;
    do args.push(this.#deeper(() => this.#level(0)));
    while (this.#skip(','));
    this.#expect(')');
    return args;
  }

  #deeper(read: () => Node): Node {
    if (++this.#depth > DEPTH_MAX)
      throw new ExpressionError(`nested deeper than ${DEPTH_MAX}; split it into several features`, this.#token.position);
    const node = read();
    this.#depth--;
    return node;
  }

  #is(texts: readonly string[]): boolean {
    const { kind, text } = this.#token;
    return (kind === 'sign' || kind === 'name') && texts.includes(text);
  }

  #skip(sign: string): boolean {
    if (!this.#is([sign])) return false;
    this.#next();
    return true;
  }

  #expect(sign: string): void {
    if (!this.#skip(sign)) throw this.#unexpected(`\`${sign}\``);
  }

  #next(): Token {
    return this.tokens[this.#at++]!;
  }

  #unexpected(wanted: string): ExpressionError {
    const { kind, text, position } = this.#token;
    return new ExpressionError(`${wanted} is wanted, not ${kind === 'end' ? text : JSON.stringify(text)}`, position);
  }
}

const LITERALS = { true: true, false: false, null: null } as const;
