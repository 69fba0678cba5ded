import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { ProtoWriter } from '@headrace/codec/writer';
import { FrameType, PREFACE, readUint32, writeFrameHeader, writeSettings } from '../src/frames.js';
import { HpackEncoder } from '../src/hpack-encoder.js';

export interface RawFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/** A peer that follows no rules: tests send with it what no client library would. */
export class RawPeer {
  readonly frames: RawFrame[] = [];
  closed = false;
  private readonly encoder = new HpackEncoder();
  private received = Buffer.alloc(0);

  private constructor(readonly socket: Socket) {
    socket.on('data', (chunk: Buffer) => this.read(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => (this.closed = true));
  }

  static async connect(port: number, options: { readonly preface?: boolean } = {}): Promise<RawPeer> {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    await new Promise((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    const peer = new RawPeer(socket);
    if (options.preface !== false) {
      const out = new ProtoWriter();
      out.raw(PREFACE);
      writeSettings(out, []);
      writeFrameHeader(out, 0, FrameType.SETTINGS, 1, 0);
      socket.write(out.finish());
    }
    return peer;
  }

  static frame(type: number, flags: number, streamId: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
    const out = new ProtoWriter(payload.length + 16);
    writeFrameHeader(out, payload.length, type, flags, streamId);
    out.raw(payload);
    return Buffer.from(out.finish());
  }

  send(...frames: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  request(streamId: number, path: string, extra: readonly (readonly [string, string])[] = [], flags = 4): Buffer {
    return RawPeer.frame(
      FrameType.HEADERS,
      flags,
      streamId,
      this.block([
        [':method', 'POST'],
        [':scheme', 'http'],
        [':path', path],
        ['content-type', 'application/grpc'],
        ['te', 'trailers'],
        ...extra,
      ]),
    );
  }

  block(fields: readonly (readonly [string, string])[]): Buffer {
    const out = new ProtoWriter();
    this.encoder.beginBlock(out);
    for (const [name, value] of fields) this.encoder.field(name, value, out);
    return Buffer.from(out.finish());
  }

  /** The error code of the GOAWAY that came last, if one did. */
  get goawayCode(): number | undefined {
    const goaway = this.frames.findLast((frame) => frame.type === FrameType.GOAWAY);
    return goaway === undefined ? undefined : readUint32(goaway.payload, 4);
  }

  count(type: number): number {
    return this.frames.filter((frame) => frame.type === type).length;
  }

  private read(chunk: Buffer): void {
    this.received = Buffer.concat([this.received, chunk]);
    while (this.received.length >= 9) {
      const length = this.received.readUIntBE(0, 3);
      if (this.received.length < 9 + length) return;
      this.frames.push({
        type: this.received[3]!,
        flags: this.received[4]!,
        streamId: readUint32(this.received, 5),
        payload: this.received.subarray(9, 9 + length),
      });
      this.received = this.received.subarray(9 + length);
    }
  }
}
