import type { BlobSchema, FeatureValue } from '@headrace/codec/feature-blob';
import { hash } from 'node:crypto';

/**
 * 52 bits of sha256 over the features that are not null, by name in sorted order: name, NUL, then 8 bytes of the number, or length
 * and bytes of the text, or length and 32-bit floats of the embedding. Adding a nullable feature to a view or reordering its features changes no hash, so rows that were
 * stored before are still recognised. 52 bits are exact as a float64 and as an int8; a collision matters only between rows of
 * one entity at one instant.
 */
export function contentHash52(schema: BlobSchema, values: readonly FeatureValue[]): number {
  const plan = planOf(schema);
  let at = 0;
  for (let i = 0; i < plan.length; i++) {
    const { index, name } = plan[i]!;
    const value = values[index]!;
    if (value === null) continue;
    const textBytes = typeof value === 'string' ? value.length * 3 : typeof value === 'object' ? value.length * 4 : 0;
    if (at + name.length + 12 + textBytes > scratch.length) scratch = Buffer.concat([scratch], 2 * (at + name.length + 12 + textBytes));
    scratch.set(name, at);
    at += name.length;
    if (typeof value === 'string') {
      const written = scratch.write(value, at + 4);
      scratch.writeUInt32LE(written, at);
      at += 4 + written;
    } else if (typeof value === 'object') {
      at = scratch.writeUInt32LE(value.length, at);
      for (let item = 0; item < value.length; item++) at = scratch.writeFloatLE(value[item]!, at);
    } else {
      at = scratch.writeDoubleLE(Number(value), at);
    }
  }
  // As a text: a buffer for each digest costs three times the hash itself.
  const digest = hash('sha256', scratch.subarray(0, at), 'binary');
  return uint32(digest, 0) * 2 ** 20 + (uint32(digest, 4) >>> 12);
}

/** Little endian. */
function uint32(digest: string, at: number): number {
  return (
    (digest.charCodeAt(at) | (digest.charCodeAt(at + 1) << 8) | (digest.charCodeAt(at + 2) << 16) | (digest.charCodeAt(at + 3) << 24)) >>> 0
  );
}

interface HashStep {
  readonly index: number;
  /** With its NUL. */
  readonly name: Buffer;
}

/** Reused between calls: hashing is synchronous. */
let scratch = Buffer.alloc(4096);
const plans = new WeakMap<BlobSchema, readonly HashStep[]>();

function planOf(schema: BlobSchema): readonly HashStep[] {
  let plan = plans.get(schema);
  if (!plan) {
    plan = schema.fields
      .map(({ name }, index) => ({ index, name: Buffer.from(`${name}\0`) }))
      .sort((a, b) => Buffer.compare(a.name, b.name));
    plans.set(schema, plan);
  }
  return plan;
}
