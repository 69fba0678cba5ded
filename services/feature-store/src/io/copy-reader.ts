import { assert } from '@headrace/base/assert';

const HEADER_BYTES = 19;

/** What takes rows in Postgres' binary form. */
export interface RowSink {
  /** @returns where the row ends. */
  appendRow(source: Buffer, tuple: number): number;
  readonly isFull: boolean;
  flush(): Promise<void>;
}

/** Feeds the rows of `COPY ... TO STDOUT (FORMAT binary)` to a sink; chunks may end anywhere. @param onChunk is told after each chunk. */
export async function readCopy(chunks: AsyncIterable<Buffer>, sink: RowSink, onChunk: () => void): Promise<void> {
  let rest: Buffer = Buffer.alloc(0);
  let started = false;
  for await (const chunk of chunks) {
    const buffer = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    if (!started) {
      if (buffer.length < HEADER_BYTES) {
        rest = buffer;
        continue;
      }
      at = HEADER_BYTES + buffer.readInt32BE(HEADER_BYTES - 4);
      started = true;
    }
    while (isWhole(buffer, at)) {
      if (buffer.readInt16BE(at) < 0) at = buffer.length;
      else {
        at = sink.appendRow(buffer, at + 2);
        if (sink.isFull) await sink.flush();
      }
    }
    rest = buffer.subarray(at);
    onChunk();
  }
  assert(rest.length === 0, 'a copy that ends with a whole row');
}

/** Whether a whole tuple, or the end mark, lies at the offset. */
function isWhole(buffer: Buffer, offset: number): boolean {
  if (offset + 2 > buffer.length) return false;
  const fields = buffer.readInt16BE(offset);
  let at = offset + 2;
  for (let i = 0; i < fields; i++) {
    if (at + 4 > buffer.length) return false;
    at += 4 + Math.max(0, buffer.readInt32BE(at));
  }
  return at <= buffer.length;
}
