import type { ProtoWriter } from '@headrace/codec/writer';

/** HTTP/2 (RFC 9113): 9 bytes of header before each payload: length (3), type (1), flags (1), stream (4). */
export const FRAME_HEADER_BYTES = 9;
/** The largest payload that a peer may send unless we say otherwise; we never do. */
export const FRAME_PAYLOAD_BYTES = 16_384;
export const WINDOW_DEFAULT = 65_535;
export const WINDOW_MAX = 0x7fff_ffff;
export const STREAM_ID_MAX = 0x7fff_ffff;
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

export const FrameType = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;
export const Flag = { ACK: 1, END_STREAM: 1, END_HEADERS: 4, PADDED: 8, PRIORITY: 32 } as const;
export const Setting = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
} as const;
export const ErrorCode = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  SETTINGS_TIMEOUT: 4,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  CONNECT_ERROR: 10,
  ENHANCE_YOUR_CALM: 11,
  INADEQUATE_SECURITY: 12,
  HTTP_1_1_REQUIRED: 13,
} as const;
export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

/** The peer broke the protocol in a way that ends the connection: GOAWAY with this code. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError';
  constructor(
    readonly code: ErrorCode,
    message: string,
  ) {
    super(message);
  }

  /** The peer sent more than its budgets allow, or made no end. */
  get isFlood(): boolean {
    return this.code === ErrorCode.ENHANCE_YOUR_CALM;
  }
}

export function writeFrameHeader(out: ProtoWriter, length: number, type: number, flags: number, streamId: number): void {
  out.reserve(FRAME_HEADER_BYTES + length);
  const { view, pos } = out;
  view.setUint32(pos, (length << 8) | type);
  view.setUint8(pos + 4, flags);
  view.setUint32(pos + 5, streamId);
  out.pos = pos + FRAME_HEADER_BYTES;
}

/** Fills in the length of a frame whose payload was written behind its header. */
export function patchFrameLength(out: ProtoWriter, frameAt: number): void {
  const length = out.pos - frameAt - FRAME_HEADER_BYTES;
  out.view.setUint16(frameAt, length >>> 8);
  out.view.setUint8(frameAt + 2, length);
}

export function writeUint32(out: ProtoWriter, value: number): void {
  out.reserve(4);
  out.view.setUint32(out.pos, value);
  out.pos += 4;
}

export function readUint32(bytes: Uint8Array, pos: number): number {
  return ((bytes[pos]! << 24) | (bytes[pos + 1]! << 16) | (bytes[pos + 2]! << 8) | bytes[pos + 3]!) >>> 0;
}

export function writeSettings(out: ProtoWriter, settings: readonly (readonly [id: number, value: number])[]): void {
  writeFrameHeader(out, settings.length * 6, FrameType.SETTINGS, 0, 0);
  for (const [id, value] of settings) {
    out.bytes[out.pos++] = id >>> 8;
    out.bytes[out.pos++] = id;
    writeUint32(out, value);
  }
}

export function writeSettingsAck(out: ProtoWriter): void {
  writeFrameHeader(out, 0, FrameType.SETTINGS, Flag.ACK, 0);
}

export function writePing(out: ProtoWriter, ack: boolean, payload: Uint8Array, at = 0): void {
  writeFrameHeader(out, 8, FrameType.PING, ack ? Flag.ACK : 0, 0);
  out.raw(payload, at, at + 8);
}

export function writeGoaway(out: ProtoWriter, lastStreamId: number, code: ErrorCode, message = ''): void {
  const debug = Buffer.from(message, 'utf8').subarray(0, 256);
  writeFrameHeader(out, 8 + debug.length, FrameType.GOAWAY, 0, 0);
  writeUint32(out, lastStreamId);
  writeUint32(out, code);
  out.raw(debug);
}

export function writeReset(out: ProtoWriter, streamId: number, code: ErrorCode): void {
  writeFrameHeader(out, 4, FrameType.RST_STREAM, 0, streamId);
  writeUint32(out, code);
}

export function writeWindowUpdate(out: ProtoWriter, streamId: number, increment: number): void {
  writeFrameHeader(out, 4, FrameType.WINDOW_UPDATE, 0, streamId);
  writeUint32(out, increment);
}

/** One header block as HEADERS and as many CONTINUATION frames as the peer's frame size needs. */
export function writeHeaders(
  out: ProtoWriter,
  streamId: number,
  block: Uint8Array,
  end: number,
  endStream: boolean,
  frameBytesMax: number,
): void {
  const endStreamFlag = endStream ? Flag.END_STREAM : 0;
  const first = Math.min(end, frameBytesMax);
  writeFrameHeader(out, first, FrameType.HEADERS, endStreamFlag | (first === end ? Flag.END_HEADERS : 0), streamId);
  out.raw(block, 0, first);
  for (let at = first; at < end;) {
    const size = Math.min(end - at, frameBytesMax);
    writeFrameHeader(out, size, FrameType.CONTINUATION, at + size === end ? Flag.END_HEADERS : 0, streamId);
    out.raw(block, at, at + size);
    at += size;
  }
}
