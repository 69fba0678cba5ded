import { ConnectionError, ErrorCode, FRAME_HEADER_BYTES, FRAME_PAYLOAD_BYTES, readUint32 } from './frames.js';

export interface FrameSink {
  /** The payload is `bytes[start, end)`, valid during the call. Returns false when the connection is over and the rest must be dropped. */
  onFrame(type: number, flags: number, streamId: number, bytes: Buffer, start: number, end: number): boolean;
}

/**
 * Cuts socket chunks into frames. Frames that lie whole in a chunk are handed on in place; only one that a chunk boundary cuts is
 * copied, into a buffer of exactly its size. A length above our limit is refused before its payload arrives.
 */
export class FrameSplitter {
  private readonly header = Buffer.alloc(FRAME_HEADER_BYTES);
  private headerFilled = 0;
  /** Payload of the cut frame, once its header is known. */
  private payload: Buffer | null = null;
  private payloadFilled = 0;

  constructor(private readonly sink: FrameSink) {}

  /** True in the middle of a frame. */
  get isPartial(): boolean {
    return this.headerFilled > 0;
  }

  /** `chunk[from, to)`; nothing of it is kept but a cut frame, by copy. */
  push(chunk: Buffer, from: number, to: number): void {
    let pos = from;
    if (this.headerFilled > 0) {
      pos = this.completeCutFrame(chunk, from, to);
      if (pos < 0) return;
    }
    while (to - pos >= FRAME_HEADER_BYTES) {
      const length = frameLength(chunk, pos);
      const start = pos + FRAME_HEADER_BYTES;
      const end = start + length;
      if (end > to) break;
      pos = end;
      if (!this.sink.onFrame(chunk[start - 6]!, chunk[start - 5]!, readUint32(chunk, start - 4) & 0x7fff_ffff, chunk, start, end)) return;
    }
    if (pos < to) this.keep(chunk, pos, to);
  }

  /** Returns the position behind the frame that was open, or -1 when the chunk is used up or the connection is over. */
  private completeCutFrame(chunk: Buffer, from: number, to: number): number {
    let pos = from;
    if (this.payload === null) {
      const copied = chunk.copy(this.header, this.headerFilled, from, Math.min(to, from + FRAME_HEADER_BYTES - this.headerFilled));
      this.headerFilled += copied;
      pos += copied;
      if (this.headerFilled < FRAME_HEADER_BYTES) return -1;
      this.payload = Buffer.allocUnsafe(frameLength(this.header, 0));
      this.payloadFilled = 0;
    }
    const payload = this.payload;
    const taken = chunk.copy(payload, this.payloadFilled, pos, to);
    this.payloadFilled += taken;
    if (this.payloadFilled < payload.length) return -1;
    this.payload = null;
    this.headerFilled = 0;
    const { header } = this;
    return this.sink.onFrame(header[3]!, header[4]!, readUint32(header, 5) & 0x7fff_ffff, payload, 0, payload.length) ? pos + taken : -1;
  }

  private keep(chunk: Buffer, pos: number, to: number): void {
    this.headerFilled = chunk.copy(this.header, 0, pos, Math.min(to, pos + FRAME_HEADER_BYTES));
    if (this.headerFilled < FRAME_HEADER_BYTES) return;
    this.payload = Buffer.allocUnsafe(frameLength(this.header, 0));
    this.payloadFilled = chunk.copy(this.payload, 0, pos + FRAME_HEADER_BYTES, to);
  }
}

function frameLength(bytes: Uint8Array, pos: number): number {
  const length = (bytes[pos]! << 16) | (bytes[pos + 1]! << 8) | bytes[pos + 2]!;
  if (length > FRAME_PAYLOAD_BYTES)
    throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, `frame of ${length} bytes, above ${FRAME_PAYLOAD_BYTES}`);
  return length;
}
