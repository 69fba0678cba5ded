import type { ProtoWriter } from '@headrace/codec/writer';
import { huffmanEncode, huffmanLength } from './hpack-huffman.js';
import {
  ENTRY_OVERHEAD_BYTES,
  FIRST_DYNAMIC_INDEX,
  HpackTable,
  staticFieldIndex,
  staticNameIndex,
  TABLE_SIZE_DEFAULT,
} from './hpack-table.js';

/** Values of these names change from call to call: in the table they would only push out what repeats. */
const VOLATILE_NAMES = new Set([
  'grpc-timeout',
  'grpc-message',
  'grpc-status-details-bin',
  'content-length',
  'traceparent',
  'tracestate',
  'x-request-id',
  'date',
]);

/**
 * Encodes header blocks of one direction of one connection. Fields that may repeat enter the dynamic table, so that the second block of the same
 * fields is a few index bytes; such a block does not change `version` and may be sent again as it is while `version` stands.
 */
export class HpackEncoder {
  private readonly table = new HpackTable();
  /** The smallest and the last size that the peer set since the last block; both are announced by the next one (RFC 7541 section 4.2). */
  private pendingSmallest = -1;
  private pendingSize = -1;

  get version(): number {
    return this.table.version;
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. We never use more than the default. */
  setPeerTableSize(bytes: number): void {
    const size = Math.min(bytes, TABLE_SIZE_DEFAULT);
    if (size === this.table.capacityBytes && this.pendingSize < 0) return;
    this.pendingSmallest = this.pendingSmallest < 0 ? size : Math.min(this.pendingSmallest, size);
    this.pendingSize = size;
    this.table.version++;
  }

  /** Comes before the first field of each block. */
  beginBlock(out: ProtoWriter): void {
    if (this.pendingSize < 0) return;
    for (const size of this.pendingSmallest < this.pendingSize ? [this.pendingSmallest, this.pendingSize] : [this.pendingSize]) {
      integer(out, 0x20, 0x1f, size);
      this.table.resize(size);
    }
    this.pendingSmallest = this.pendingSize = -1;
  }

  field(name: string, value: string, out: ProtoWriter): void {
    const staticIndex = staticFieldIndex(name, value);
    if (staticIndex !== 0) return integer(out, 0x80, 0x7f, staticIndex);
    const age = this.table.find(name, value);
    if (age >= 0) return integer(out, 0x80, 0x7f, FIRST_DYNAMIC_INDEX + age);
    const nameIndex = staticNameIndex(name);
    if (this.isWorthIndexing(name, value)) {
      integer(out, 0x40, 0x3f, nameIndex);
      this.table.insert(name, value);
    } else integer(out, 0x00, 0x0f, nameIndex);
    if (nameIndex === 0) text(out, name);
    text(out, value);
  }

  private isWorthIndexing(name: string, value: string): boolean {
    return (name.length + value.length + ENTRY_OVERHEAD_BYTES) * 4 <= this.table.capacityBytes && !VOLATILE_NAMES.has(name);
  }
}

function integer(out: ProtoWriter, pattern: number, mask: number, value: number): void {
  out.reserve(6);
  if (value < mask) {
    out.bytes[out.pos++] = pattern | value;
    return;
  }
  out.bytes[out.pos++] = pattern | mask;
  out.uint32(value - mask);
}

function text(out: ProtoWriter, value: string): void {
  const coded = huffmanLength(value);
  if (coded < value.length) {
    integer(out, 0x80, 0x7f, coded);
    out.reserve(coded);
    out.pos = huffmanEncode(value, out.bytes, out.pos);
    return;
  }
  integer(out, 0x00, 0x7f, value.length);
  out.reserve(value.length);
  out.pos += out.bytes.write(value, out.pos, 'latin1');
}
