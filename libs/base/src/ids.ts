import { randomBytes } from 'node:crypto';

/** A string that the compiler keeps apart from other strings: `Branded<'RunId'>`. */
export type Branded<Name extends string> = string & { readonly __brand: Name };

export type Project = Branded<'Project'>;
export type RunId = Branded<'RunId'>;
export type AlertId = Branded<'AlertId'>;
export type PredictionId = Branded<'PredictionId'>;
export type Sha256 = Branded<'Sha256'>;

export const DEFAULT_PROJECT = 'default' as Project;

/** Names of projects, models, views, features: safe in keys, topics, paths and SQL values alike. */
export const NAME_PATTERN = /^[A-Za-z][A-Za-z0-9_-]{0,62}$/;
export const SHA256_PATTERN = /^[0-9a-f]{64}$/;

/**
 * Time-ordered 128-bit id (UUID version 7, RFC 9562 section 5.7): 48 bits of milliseconds, then randomness.
 * Ordered ids keep B-tree inserts at the right edge, and sort as they were made.
 */
export function newId(nowMs: number = Date.now(), random: (size: number) => Uint8Array = randomBytes): string {
  const bytes = new Uint8Array(16);
  bytes.set(random(10), 6);
  for (let i = 5, rest = nowMs; i >= 0; i--, rest = Math.floor(rest / 256)) bytes[i] = rest % 256;
  bytes[6] = (bytes[6]! & 0x0f) | 0x70;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Buffer.from(bytes).toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
