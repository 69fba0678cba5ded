/** Most free buffers that are kept. */
const FREE_MAX = 8;
/** Sizes are multiples of this, so that a buffer fits messages a little longer than the one it was made for. */
const STEP_BYTES = 64 * 1024;

/** Memory that other threads read without a copy, used again and again: the garbage collector neither sees it nor has to free it. */
export class SharedBuffers {
  readonly #free: SharedArrayBuffer[] = [];

  /** A copy of `bytes[0, length)`, which is the caller's until `giveBack`. */
  copyOf(bytes: Buffer, length: number): Buffer {
    const at = this.#free.findIndex((one) => one.byteLength >= length);
    const memory = at >= 0 ? this.#free.splice(at, 1)[0]! : new SharedArrayBuffer(Math.ceil((length + 1) / STEP_BYTES) * STEP_BYTES);
    const copy = Buffer.from(memory, 0, length);
    bytes.copy(copy, 0, 0, length);
    return copy;
  }

  /** Of `copyOf`; nobody may read it any more. */
  giveBack({ buffer }: Uint8Array): void {
    if (buffer instanceof SharedArrayBuffer && this.#free.length < FREE_MAX) this.#free.push(buffer);
  }
}
