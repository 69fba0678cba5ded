import { huffmanDecode } from './hpack-huffman.js';
import { ENTRY_OVERHEAD_BYTES, FIRST_DYNAMIC_INDEX, HpackTable, STATIC_NAMES, STATIC_VALUES, TABLE_SIZE_DEFAULT } from './hpack-table.js';

/** The peer broke the compression state: the connection cannot go on (RFC 7541 section 2.3.3). */
export class HpackError extends Error {
  override readonly name = 'HpackError';
}

/** The decoded fields of one block. Reused from block to block: copy `names` and `values` up to `count` to keep them. */
export class HeaderFields {
  readonly names: string[] = [];
  readonly values: string[] = [];
  count = 0;
  /** Size of the list as HTTP/2 counts it: name + value + 32 each. Beyond the limit fields are counted, not stored. */
  listBytes = 0;

  constructor(readonly listBytesMax: number) {}

  get tooLarge(): boolean {
    return this.listBytes > this.listBytesMax;
  }

  reset(): void {
    this.count = 0;
    this.listBytes = 0;
  }

  add(name: string, value: string): void {
    this.listBytes += name.length + value.length + ENTRY_OVERHEAD_BYTES;
    if (this.listBytes > this.listBytesMax) return;
    this.names[this.count] = name;
    this.values[this.count++] = value;
  }
}

/**
 * Decodes header blocks of one direction of one connection (RFC 7541). A block must be decoded even when its request is refused,
 * because it may change the table. Throws `HpackError`.
 */
export class HpackDecoder {
  private readonly table: HpackTable;
  private pos = 0;

  /** `tableBytesMax` is our SETTINGS_HEADER_TABLE_SIZE; a literal may take up to `textBytesMax` once decoded. */
  constructor(
    private readonly textBytesMax: number,
    private readonly tableBytesMax: number = TABLE_SIZE_DEFAULT,
  ) {
    this.table = new HpackTable(tableBytesMax);
  }

  /** Unchanged by a block that only refers to what is known: the same bytes then mean the same fields. */
  get version(): number {
    return this.table.version;
  }

  decode(bytes: Uint8Array, start: number, end: number, into: HeaderFields): void {
    this.pos = start;
    let sawField = false;
    while (this.pos < end) {
      const first = bytes[this.pos]!;
      if (first >= 0x80) {
        this.indexed(this.integer(bytes, end, 0x7f), into);
      } else if (first >= 0x40) {
        const name = this.literalName(bytes, end, 0x3f);
        const value = this.text(bytes, end);
        into.add(name, value);
        this.table.insert(name, value);
      } else if (first >= 0x20) {
        if (sawField) throw new HpackError('table size update behind a field');
        const size = this.integer(bytes, end, 0x1f);
        if (size > this.tableBytesMax) throw new HpackError(`table size update to ${size}, above ${this.tableBytesMax}`);
        this.table.resize(size);
        continue;
      } else {
        // Without indexing and never indexed differ only for intermediaries.
        const name = this.literalName(bytes, end, 0x0f);
        into.add(name, this.text(bytes, end));
      }
      sawField = true;
    }
  }

  private indexed(index: number, into: HeaderFields): void {
    if (index === 0) throw new HpackError('index 0');
    if (index < FIRST_DYNAMIC_INDEX) into.add(STATIC_NAMES[index]!, STATIC_VALUES[index]!);
    else into.add(this.dynamicName(index), this.table.valueAt(index - FIRST_DYNAMIC_INDEX));
  }

  private literalName(bytes: Uint8Array, end: number, mask: number): string {
    const index = this.integer(bytes, end, mask);
    if (index === 0) return this.text(bytes, end);
    return index < FIRST_DYNAMIC_INDEX ? STATIC_NAMES[index]! : this.dynamicName(index);
  }

  private dynamicName(index: number): string {
    const name = this.table.nameAt(index - FIRST_DYNAMIC_INDEX);
    if (name === undefined) throw new HpackError(`index ${index} outside the table`);
    return name;
  }

  /** RFC 7541 section 5.1; at most four continuation bytes, far beyond any size that we allow. */
  private integer(bytes: Uint8Array, end: number, mask: number): number {
    let value = bytes[this.pos++]! & mask;
    if (value < mask) return value;
    for (let shift = 0; shift < 28; shift += 7) {
      if (this.pos >= end) throw new HpackError('integer cut off');
      const byte = bytes[this.pos++]!;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new HpackError('integer too long');
  }

  private text(bytes: Uint8Array, end: number): string {
    if (this.pos >= end) throw new HpackError('string cut off');
    const huffman = bytes[this.pos]! >= 0x80;
    const length = this.integer(bytes, end, 0x7f);
    const start = this.pos;
    if (length > end - start) throw new HpackError('string cut off');
    if (length > this.textBytesMax) throw new HpackError(`string of ${length} bytes, above ${this.textBytesMax}`);
    this.pos = start + length;
    if (!huffman) return latin1(bytes, start, start + length);
    // The shortest code has 5 bits, so the text is at most 8/5 of its coded form.
    const room = Math.ceil((length * 8) / 5);
    if (scratch.length < room) scratch = Buffer.allocUnsafeSlow(room * 2);
    const decoded = huffmanDecode(bytes, start, start + length, scratch);
    if (decoded < 0) throw new HpackError('broken Huffman string');
    return scratch.toString('latin1', 0, decoded);
  }
}

let scratch = Buffer.allocUnsafeSlow(4096);

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return bytes instanceof Buffer
    ? bytes.toString('latin1', start, end)
    : Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1');
}
