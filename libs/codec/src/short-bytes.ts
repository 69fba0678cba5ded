const ENCODER = new TextEncoder();
const BYTES_AT_FIRST = 40;

/**
 * A few bytes, such as a text in UTF-8, in memory that is used again and is copied word by word. What is only passed on, such as the id of a prediction
 * from request to answer and log, costs no string for the garbage collector in this form.
 */
export class ShortBytes {
  /** The content is `bytes[0, length)`. */
  bytes = new Uint8Array(BYTES_AT_FIRST);
  /** The same memory. */
  words = new Int32Array(this.bytes.buffer);
  length = 0;

  static ofText(text: string): ShortBytes {
    const made = new ShortBytes();
    made.setText(text);
    return made;
  }

  static of(bytes: Uint8Array): ShortBytes {
    const made = new ShortBytes();
    made.set(bytes, 0, bytes.length);
    return made;
  }

  /** A lone surrogate becomes U+FFFD. */
  setText(text: string): void {
    this.reserve(text.length * 3);
    this.length = ENCODER.encodeInto(text, this.bytes).written;
  }

  set(bytes: Uint8Array, start: number, end: number): void {
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
    if (this.bytes.length >= bytes) return;
    this.bytes = new Uint8Array((bytes + 3) & ~3);
    this.words = new Int32Array(this.bytes.buffer);
  }

  /** The bytes as UTF-8. */
  toString(): string {
    return Buffer.from(this.bytes.buffer, 0, this.length).toString('utf8');
  }
}
