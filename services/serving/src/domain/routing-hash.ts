/**
 * FNV-1a of 32 bits (Fowler, Noll, Vo) over bytes, then the finalizer of MurmurHash3, without which keys that differ in their last
 * letter fall into neighbouring shares. The same key and salt give the same share in every process and for ever.
 */
const OFFSET_BASIS = 0x811c9dc5;
const PRIME = 0x01000193;

export function fnv1a(bytes: Uint8Array, start = 0, end = bytes.length, from = OFFSET_BASIS): number {
  let hash = from;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, PRIME);
  return hash >>> 0;
}

/** The state after the salt; shares of different salts are independent of each other. */
export function seedOf(salt: string): number {
  return fnv1a(new TextEncoder().encode(`${salt}\0`));
}

/** Where the key stands in [0, 1). */
export function shareOf(seed: number, bytes: Uint8Array, start = 0, end = bytes.length): number {
  let hash = fnv1a(bytes, start, end, seed);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 0x1_0000_0000;
}
