import { assert } from '@headrace/base/assert';

const HEADER_BYTES = 19;

/** What takes rows in Postgres' binary form. */
export interface RowSink {
  /** @param tuple where the fields of the row begin. */
  appendRow(source: Buffer, tuple: number): void;
  readonly isFull: boolean;
  flush(): Promise<void>;
}

/** Feeds the rows of `COPY ... TO STDOUT (FORMAT binary)` to a sink. @param onChunk is told after each chunk. */
export async function readCopy(chunks: AsyncIterable<Buffer>, sink: RowSink, onChunk: () => void): Promise<void> {
  const rows = new CopyRows(chunks);
  try {
    while (await rows.fill()) {
      do {
        sink.appendRow(rows.buffer, rows.tuple);
        if (sink.isFull) await sink.flush();
      } while (rows.next());
      onChunk();
    }
  } finally {
    await rows.close();
  }
}

/** Stands on one row after the other of `COPY ... TO STDOUT (FORMAT binary)`; chunks may end anywhere. */
export class CopyRows {
  /** Holds the row; valid until the next `fill`. */
  buffer: Buffer = Buffer.alloc(0);
  /** Where its fields begin: for each its length (-1 = null), then its bytes. */
  tuple = 0;
  readonly #chunks: AsyncIterator<Buffer>;
  /** Behind the row. */
  #at = 0;
  #started = false;

  constructor(chunks: AsyncIterable<Buffer>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** To the next row that is here already. @returns false when there is none: `fill`. */
  next(): boolean {
    const { buffer } = this;
    const from = this.#at;
    if (from + 2 > buffer.length) return false;
    const fields = buffer.readInt16BE(from);
    let at = from + 2;
    for (let i = 0; i < fields; i++) {
      if (at + 4 > buffer.length) return false;
      at += 4 + Math.max(0, buffer.readInt32BE(at));
    }
    if (at > buffer.length) return false;
    this.#at = at;
    this.tuple = from + 2;
    return fields >= 0;
  }

  /** Reads on until a row is here. @returns false at the end. */
  async fill(): Promise<boolean> {
    for (let next = await this.#chunks.next(); !next.done; next = await this.#chunks.next()) {
      this.buffer = this.#at === this.buffer.length ? next.value : Buffer.concat([this.buffer.subarray(this.#at), next.value]);
      this.#at = 0;
      if (this.#skipHeader() && this.next()) return true;
    }
    assert(this.#at === this.buffer.length, 'a copy that ends with a whole row');
    return false;
  }

  /** Leaves the copy, if it is not at its end. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  #skipHeader(): boolean {
    if (this.#started) return true;
    if (this.buffer.length < HEADER_BYTES) return false;
    this.#at = HEADER_BYTES + this.buffer.readInt32BE(HEADER_BYTES - 4);
    this.#started = true;
    return true;
  }
}
