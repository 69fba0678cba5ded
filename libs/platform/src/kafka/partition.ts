/** Seed and constants of Kafka's murmur2 (org.apache.kafka.common.utils.Utils), the same in every Kafka client. */
const SEED = 0x9747b28c;
const M = 0x5bd1e995;

export function murmur2(data: Uint8Array): number {
  const length = data.length;
  let hash = SEED ^ length;
  const blocks = length & ~3;
  for (let i = 0; i < blocks; i += 4) {
    let k = data[i]! | (data[i + 1]! << 8) | (data[i + 2]! << 16) | (data[i + 3]! << 24);
    k = Math.imul(k, M);
    k = Math.imul(k ^ (k >>> 24), M);
    hash = Math.imul(hash, M) ^ k;
  }
  if ((length & 3) === 3) hash ^= data[blocks + 2]! << 16;
  if ((length & 3) >= 2) hash ^= data[blocks + 1]! << 8;
  if ((length & 3) >= 1) hash = Math.imul(hash ^ data[blocks]!, M);
  hash = Math.imul(hash ^ (hash >>> 13), M);
  return hash ^ (hash >>> 15);
}

/** Which partition a key belongs to: the Java client's default, so that a key stays in place whoever produces it. */
export function partitionOf(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions;
}
