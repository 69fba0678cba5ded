/** Appends numbers and texts to one growing buffer. Counts and times go as variable-length integers: most tiles are small. */
export class ByteWriter {
  #bytes = Buffer.allocUnsafe(4096);
  #at = 0;

  get length(): number {
    return this.#at;
  }

  clear(): void {
    this.#at = 0;
  }

  u8(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#at++] = value;
  }

  u32(value: number): void {
    this.#reserve(4);
    this.#at = this.#bytes.writeUInt32LE(value, this.#at);
  }

  f64(value: number): void {
    this.#reserve(8);
    this.#at = this.#bytes.writeDoubleLE(value, this.#at);
  }

  /** Whole numbers from 0 to 2^53. */
  count(value: number): void {
    this.#reserve(8);
    let rest = value;
    while (rest >= 128) {
      this.#bytes[this.#at++] = (rest % 128) + 128;
      rest = Math.floor(rest / 128);
    }
    this.#bytes[this.#at++] = rest;
  }

  /** Whole numbers from -2^52 to 2^52. */
  integer(value: number): void {
    this.count(value < 0 ? -2 * value - 1 : 2 * value);
  }

  text(value: string): void {
    this.#reserve(3 * value.length + 8);
    const bytes = Buffer.byteLength(value);
    this.count(bytes);
    this.#at += this.#bytes.write(value, this.#at);
  }

  bytes(bytes: Buffer): void {
    this.#reserve(bytes.length);
    this.#at += bytes.copy(this.#bytes, this.#at);
  }

  /** A copy of what was written. */
  take(): Buffer {
    return Buffer.from(this.#bytes.subarray(0, this.#at));
  }

  #reserve(more: number): void {
    if (this.#at + more > this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], 2 * (this.#at + more));
  }
}

/** Reads what `ByteWriter` wrote. Past the end it throws a RangeError: the blob is corrupt. */
export class ByteReader {
  #bytes: Buffer = Buffer.alloc(0);
  at = 0;

  over(bytes: Buffer, at = 0): this {
    this.#bytes = bytes;
    this.at = at;
    return this;
  }

  get atEnd(): boolean {
    return this.at >= this.#bytes.length;
  }

  u8(): number {
    const value = this.#bytes[this.at];
    if (value === undefined) throw new RangeError('the bytes end early');
    this.at++;
    return value;
  }

  f64(): number {
    const value = this.#bytes.readDoubleLE(this.at);
    this.at += 8;
    return value;
  }

  count(): number {
    let byte = this.u8();
    if (byte < 128) return byte;
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
      byte = this.u8();
    }
    throw new RangeError('a number is longer than any that was written');
  }

  integer(): number {
    const value = this.count();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  text(): string {
    const bytes = this.count();
    if (this.at + bytes > this.#bytes.length) throw new RangeError('the bytes end early');
    return this.#bytes.toString('utf8', this.at, (this.at += bytes));
  }

  /** A view, not a copy. */
  bytes(length: number): Buffer {
    if (this.at + length > this.#bytes.length) throw new RangeError('the bytes end early');
    return this.#bytes.subarray(this.at, (this.at += length));
  }

  skip(length: number): void {
    this.at += length;
  }
}
