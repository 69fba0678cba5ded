/**
 * Received messages on their way to one reader, in order. The producer asks `isFull` before it gives the peer more window; `onTaken`
 * hears each time the reader has taken one.
 */
export class MessageQueue<T> implements AsyncIterableIterator<T, undefined> {
  private readonly items: { readonly value: T; readonly bytes: number }[] = [];
  private reader: { resolve(result: IteratorResult<T, undefined>): void; reject(error: unknown): void } | null = null;
  private ended = false;
  private failure: unknown = undefined;
  private bytes = 0;

  constructor(
    private readonly itemsMax: number,
    private readonly bytesMax: number,
    private readonly onTaken: (bytes: number) => void,
    /** The reader left before the end. */
    private readonly onLeft: () => void = () => undefined,
  ) {}

  get isFull(): boolean {
    return this.items.length >= this.itemsMax || this.bytes >= this.bytesMax;
  }

  push(value: T, bytes: number): void {
    if (this.ended) {
      this.onTaken(bytes);
      return;
    }
    if (this.reader !== null) {
      const { resolve } = this.reader;
      this.reader = null;
      this.onTaken(bytes);
      resolve({ done: false, value });
      return;
    }
    this.items.push({ value, bytes });
    this.bytes += bytes;
  }

  end(): void {
    this.ended = true;
    this.reader?.resolve({ done: true, value: undefined });
    this.reader = null;
  }

  /** Messages that were not taken yet are dropped; the reader gets the error. */
  fail(error: unknown): void {
    if (this.ended && this.items.length === 0) return;
    this.ended = true;
    this.failure = error;
    this.drop();
    this.reader?.reject(error);
    this.reader = null;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const item = this.items.shift();
    if (item !== undefined) {
      this.bytes -= item.bytes;
      this.onTaken(item.bytes);
      return Promise.resolve({ done: false, value: item.value });
    }
    if (this.failure !== undefined) return Promise.reject(this.failure as Error);
    if (this.ended) return Promise.resolve({ done: true, value: undefined });
    if (this.reader !== null) return Promise.reject(new Error('Two reads of one message stream at once.'));
    return new Promise((resolve, reject) => {
      this.reader = { resolve, reject };
    });
  }

  /** The reader loses interest (`break` out of a loop): what comes is dropped. */
  return(): Promise<IteratorResult<T, undefined>> {
    const early = !this.ended;
    this.ended = true;
    this.drop();
    if (early) this.onLeft();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  private drop(): void {
    for (const { bytes } of this.items.splice(0)) this.onTaken(bytes);
    this.bytes = 0;
  }
}
