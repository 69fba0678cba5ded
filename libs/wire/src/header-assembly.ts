import { ConnectionError, ErrorCode, Flag, readUint32 } from './frames.js';

/** Puts one header block together: HEADERS with its padding and priority fields, then CONTINUATIONs, up to a size. */
export class HeaderAssembly {
  /** The stream whose block is open; nothing but its CONTINUATION may come. 0 when none is. */
  streamId = 0;
  endStream = false;
  /** Range of a block that came in one frame, or the end of an assembled one (which starts at 0). */
  start = 0;
  end = 0;
  private block: Buffer | null = null;
  private filled = 0;

  constructor(private readonly blockBytesMax: number) {}

  /** True when the block is whole: `bytes[start, end)` of the frame. */
  begin(flags: number, streamId: number, bytes: Buffer, start: number, end: number): boolean {
    if (streamId === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, 'HEADERS on stream 0');
    let padding = 0;
    if ((flags & Flag.PADDED) !== 0) {
      if (start === end) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, 'HEADERS without its pad length');
      padding = bytes[start++]!;
    }
    if ((flags & Flag.PRIORITY) !== 0) {
      if (end - start < 5) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, 'HEADERS without its priority');
      if ((readUint32(bytes, start) & 0x7fff_ffff) === streamId)
        throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, 'a stream that depends on itself');
      start += 5;
    }
    end -= padding;
    if (end < start) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, 'padding longer than the frame');
    this.start = start;
    this.end = end;
    if ((flags & Flag.END_HEADERS) !== 0) return true;
    this.streamId = streamId;
    this.endStream = (flags & Flag.END_STREAM) !== 0;
    this.filled = 0;
    this.keep(bytes, start, end);
    return false;
  }

  /** True when the block is whole: take it with `takeBlock`. */
  append(flags: number, streamId: number, bytes: Buffer, start: number, end: number): boolean {
    if (this.streamId === 0 || streamId !== this.streamId)
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, 'CONTINUATION without HEADERS');
    this.keep(bytes, start, end);
    if ((flags & Flag.END_HEADERS) === 0) return false;
    this.end = this.filled;
    this.streamId = 0;
    return true;
  }

  takeBlock(): Buffer {
    const block = this.block!;
    this.block = null;
    return block;
  }

  private keep(bytes: Buffer, start: number, end: number): void {
    const size = this.filled + end - start;
    if (size > this.blockBytesMax) throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, `header block above ${this.blockBytesMax} bytes`);
    if (this.block === null || this.block.length < size) {
      const larger = Buffer.allocUnsafe(Math.min(this.blockBytesMax, size * 2));
      this.block?.copy(larger, 0, 0, this.filled);
      this.block = larger;
    }
    this.filled += bytes.copy(this.block, this.filled, start, end);
  }
}
