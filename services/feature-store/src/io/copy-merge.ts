import { CopyRows, type RowSink } from './copy-reader.js';

/**
 * Feeds the rows of several binary copies to a sink, in the order of their first field: a text that is never null, by which each copy is
 * ordered by its bytes, and which no two copies share. The sink does not see it. @param onChunk is told after each chunk.
 */
export async function mergeCopies(copies: readonly AsyncIterable<Buffer>[], sink: RowSink, onChunk: () => void): Promise<void> {
  const all = copies.map((chunks) => new CopyRows(chunks));
  try {
    const open = await withRows(all);
    while (open.length > 0) {
      const least = open.reduce((a, b) => (compareKeys(a, b) <= 0 ? a : b));
      sink.appendRow(least.buffer, least.tuple + 4 + keyLength(least));
      if (sink.isFull) await sink.flush();
      if (least.next()) continue;
      if (!(await least.fill())) open.splice(open.indexOf(least), 1);
      onChunk();
    }
  } finally {
    await Promise.allSettled(all.map((rows) => rows.close()));
  }
}

/** All begin at once, and all have begun or failed when this ends: one that still begins could not be closed. */
async function withRows(all: readonly CopyRows[]): Promise<CopyRows[]> {
  const begun = await Promise.allSettled(all.map((rows) => rows.fill()));
  for (const one of begun) if (one.status === 'rejected') throw one.reason;
  return all.filter((_, i) => (begun[i] as PromiseFulfilledResult<boolean>).value);
}

function compareKeys(a: CopyRows, b: CopyRows): number {
  const [aLength, bLength] = [keyLength(a), keyLength(b)];
  const [aKey, bKey] = [a.tuple + 4, b.tuple + 4];
  for (let i = 0; i < aLength && i < bLength; i++) {
    const difference = a.buffer[aKey + i]! - b.buffer[bKey + i]!;
    if (difference !== 0) return difference;
  }
  return aLength - bLength;
}

function keyLength({ buffer, tuple }: CopyRows): number {
  return buffer.readInt32BE(tuple);
}
