import type { ProtoWriter } from '@headrace/codec/writer';
import { Flag, FRAME_HEADER_BYTES, FrameType, patchFrameLength, writeFrameHeader } from './frames.js';
import { deflateMessage } from './inflate.js';
import type { Session } from './session.js';
import type { StreamSender } from './stream-sender.js';

/** Compressed flag and length before each message (PROTOCOL-HTTP2.md, "Length-Prefixed-Message"). */
export const MESSAGE_PREFIX_BYTES = 5;

/**
 * Encodes one message straight into the session's output as one DATA frame, or as several when it is larger than a frame. A message larger than the windows
 * goes through the sender; then the answer is false, and an `endStream` is still to be sent behind it. What `encode` throws passes through, with nothing written.
 */
export function sendEncoded<T>(
  session: Session,
  sender: StreamSender,
  encode: (value: T, writer: ProtoWriter) => void,
  value: T,
  endStream: boolean,
  gzip: boolean,
): boolean {
  const out = session.out();
  const frameAt = out.pos;
  writeFrameHeader(out, MESSAGE_PREFIX_BYTES, FrameType.DATA, endStream ? Flag.END_STREAM : 0, sender.streamId);
  const payloadAt = frameAt + FRAME_HEADER_BYTES;
  const messageAt = payloadAt + MESSAGE_PREFIX_BYTES;
  out.pos = messageAt;
  try {
    encode(value, out);
  } catch (error) {
    out.pos = frameAt;
    throw error;
  }
  if (gzip) {
    const packed = deflateMessage(out.bytes.subarray(messageAt, out.pos));
    out.pos = messageAt;
    out.raw(packed);
  }
  writePrefix(out.view, payloadAt, out.pos - messageAt, gzip ? 1 : 0);
  const size = out.pos - payloadAt;
  if (size <= sender.room) {
    patchFrameLength(out, frameAt);
    sender.count(size);
    session.windowUpdates.earn(10);
    return true;
  }
  if (size <= sender.window) {
    splitFrame(out, frameAt, session.peer.frameBytesMax, endStream, sender.streamId);
    sender.count(size);
    session.windowUpdates.earn(10);
    return true;
  }
  const payload = Buffer.from(out.bytes.subarray(payloadAt, out.pos));
  out.pos = frameAt;
  sender.send(payload, 0, size);
  return false;
}

/** Makes one DATA frame, the last thing in `out`, into as many as the peer's frame size asks for: its parts move apart, the last one first. */
function splitFrame(out: ProtoWriter, frameAt: number, frameBytesMax: number, endStream: boolean, streamId: number): void {
  const payloadAt = frameAt + FRAME_HEADER_BYTES;
  const payloadEnd = out.pos;
  const frames = Math.ceil((payloadEnd - payloadAt) / frameBytesMax);
  const end = payloadEnd + (frames - 1) * FRAME_HEADER_BYTES;
  out.reserve(end - payloadEnd);
  for (let i = frames - 1; i >= 0; i--) {
    const from = payloadAt + i * frameBytesMax;
    const to = Math.min(from + frameBytesMax, payloadEnd);
    const headerAt = from + i * FRAME_HEADER_BYTES - FRAME_HEADER_BYTES;
    if (i > 0) out.bytes.copyWithin(headerAt + FRAME_HEADER_BYTES, from, to);
    out.pos = headerAt;
    writeFrameHeader(out, to - from, FrameType.DATA, endStream && i === frames - 1 ? Flag.END_STREAM : 0, streamId);
  }
  out.pos = end;
}

function writePrefix(view: DataView, at: number, length: number, compressed: number): void {
  view.setUint8(at, compressed);
  view.setUint32(at + 1, length);
}
