import { createHmac } from 'node:crypto';

/** Where tokens of equal values are equal: one feature (`view:feature`), or the entity keys, of one project. */
export interface TokenScope {
  readonly project: string;
  readonly of: string;
}

/** Scope of the entity keys of a model; equal for all models that are asked by the same keys. */
export function entityScope(project: string, joinKeys: readonly string[]): TokenScope {
  return { project, of: `entity ${joinKeys.join('|')}` };
}

/** 128 bits: two values of one feature share a token with a chance of 1e-9 among 2^49 of them. */
const TOKEN_BYTES = 16;

/**
 * A keyed, one-way stand-in for a value: HMAC-SHA-256 (RFC 2104) over scope and value, its first 128 bits in base64url. Without the key
 * it cannot be tried out, which a bare hash of a birth date or a sex could. A number is hashed as JavaScript prints it.
 */
export function valueToken(key: string, { project, of }: TokenScope, value: string | number): string {
  return createHmac('sha256', key).update(`${project}\0${of}\0${value}`).digest().subarray(0, TOKEN_BYTES).toString('base64url');
}
