const ENCODER = new TextEncoder();
const BYTES_AT_FIRST = 40;

/**
 * A text as UTF-8, in memory that is used again. What is only passed on, such as the id of a prediction from request to answer and log, is copied
 * three times in this form, and costs no string for the garbage collector.
 */
export class Utf8Text {
  /** The text is `bytes[0, length)`. */
  bytes = new Uint8Array(BYTES_AT_FIRST);
  length = 0;

  static of(text: string): Utf8Text {
    const made = new Utf8Text();
    made.set(text);
    return made;
  }

  /** A lone surrogate becomes U+FFFD. */
  set(text: string): void {
    this.reserve(text.length * 3);
    this.length = ENCODER.encodeInto(text, this.bytes).written;
  }

  /** The caller knows that they are UTF-8. */
  setBytes(bytes: Uint8Array, start: number, end: number): void {
    this.reserve(end - start);
    const target = this.bytes;
    for (let i = start; i < end; i++) target[i - start] = bytes[i]!;
    this.length = end - start;
  }

  clear(): void {
    this.length = 0;
  }

  /** Room for `bytes`; what stood there is gone. */
  reserve(bytes: number): void {
    if (this.bytes.length < bytes) this.bytes = new Uint8Array(bytes);
  }

  toString(): string {
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset, this.length).toString('utf8');
  }
}
