/**
 * Chunks on their way into one COPY. The sender waits while the copy still works on the chunk before, so that memory stays at two chunks,
 * and hears of it when the copy gives up.
 */
export class CopyFeed implements AsyncIterable<Uint8Array> {
  #chunk: Uint8Array | undefined;
  #ended = false;
  #failure: { readonly reason: unknown } | undefined;
  #changed: () => void = () => undefined;

  /** Resolves when the chunk before has been taken. @throws the reason of `fail` */
  async send(chunk: Uint8Array): Promise<void> {
    while (this.#chunk && !this.#failure) await this.#change();
    if (this.#failure) throw this.#failure.reason;
    this.#chunk = chunk;
    this.#changed();
  }

  end(): void {
    this.#ended = true;
    this.#changed();
  }

  /** Both sides throw the reason; later reasons do not count. */
  fail(reason: unknown): void {
    this.#failure ??= { reason };
    this.#changed();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      if (this.#failure) throw this.#failure.reason;
      const chunk = this.#chunk;
      if (chunk) {
        this.#chunk = undefined;
        this.#changed();
        yield chunk;
      } else if (this.#ended) return;
      else await this.#change();
    }
  }

  /** One side waits at a time: the sender for room, or the copy for a chunk. */
  #change(): Promise<void> {
    return new Promise((resolve) => (this.#changed = resolve));
  }
}
