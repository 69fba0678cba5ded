import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { ProtoReader } from '@headrace/codec/reader';
import { ProtoWriter } from '@headrace/codec/writer';
import { FrameType, PREFACE, writeFrameHeader, writeSettings } from '../src/frames.js';
import { HeaderFields, HpackDecoder, HpackError } from '../src/hpack-decoder.js';
import { HpackEncoder } from '../src/hpack-encoder.js';
import { limitsWith } from '../src/limits.js';
import { ServerConnection } from '../src/server-connection.js';
import { ServerContext } from '../src/server-context.js';
import { testService } from './services.js';

/** A socket that goes nowhere: the fuzzer is the peer and reads nothing. */
class NullSocket extends EventEmitter {
  destroyed = false;
  writableEnded = false;
  writableLength = 0;
  readonly remoteAddress = '127.0.0.1';
  readonly remotePort = 1;
  written = 0;
  write(chunk: Uint8Array): boolean {
    this.written += chunk.length;
    return true;
  }
  end(): void {
    this.writableEnded = true;
  }
  pause(): void {
    this.emit('paused');
  }
  resume(): void {
    this.emit('resumed');
  }
  destroy(): void {
    this.destroyed = true;
    this.emit('close');
  }
}

export interface FuzzReport {
  inputs: number;
  connectionsEnded: number;
  callsStarted: number;
}

/**
 * Seeded inputs against a server connection: streams of frames that are nearly right, with bytes flipped, cut, repeated and swapped, in random
 * chunks. Throws when anything but a protocol refusal comes out. An input is one frame (or block, or message).
 */
export async function fuzzConnection(random: () => number, inputs: number): Promise<FuzzReport> {
  const defects: unknown[] = [];
  const context = new ServerContext(
    testService({ aborts: [], ticks: 0, batches: [] }),
    limitsWith({ messageBytesMax: 10_000, resetBurst: 50 }),
    undefined,
    false,
    (error) => defects.push(error),
  );
  const report: FuzzReport = { inputs: 0, connectionsEnded: 0, callsStarted: 0 };
  while (report.inputs < inputs) {
    const socket = new NullSocket();
    nextStream = 1;
    const connection = new ServerConnection(socket as unknown as Socket, context, () => report.connectionsEnded++);
    const encoder = new HpackEncoder();
    socket.emit('data', opening());
    for (let i = 0; i < 200 && !connection.session.closed; i++, report.inputs++) {
      const bytes = mutate(random, frameOf(random, encoder));
      for (let at = 0; at < bytes.length;) {
        const size = random() < 0.7 ? bytes.length : 1 + Math.floor(random() * 40);
        socket.emit('data', bytes.subarray(at, at + size));
        at += size;
      }
    }
    await new Promise(setImmediate);
    socket.destroy();
    if (defects.length > 0) throw defects[0];
    if (context.stats.bufferedBytes !== 0)
      throw new Error(`${context.stats.bufferedBytes} bytes are still counted as buffered after the connection closed`);
  }
  report.callsStarted = context.stats.callsStarted;
  return report;
}

export function fuzzHpack(random: () => number, inputs: number): void {
  let decoder = new HpackDecoder(4096);
  const fields = new HeaderFields(16_384);
  const encoder = new HpackEncoder();
  for (let i = 0; i < inputs; i++) {
    const block = random() < 0.3 ? randomBytes(random, 40) : mutate(random, blockOf(random, encoder));
    fields.reset();
    try {
      decoder.decode(block, 0, block.length, fields);
    } catch (error) {
      if (!(error instanceof HpackError)) throw error;
      decoder = new HpackDecoder(4096);
    }
  }
}

export function fuzzProtobuf(random: () => number, inputs: number): void {
  const reader = new ProtoReader();
  const floats = new Float32Array(64);
  for (let i = 0; i < inputs; i++) {
    const bytes = randomBytes(random, 60);
    const start = Math.floor(random() * Math.min(3, bytes.length));
    reader.reset(bytes, start, bytes.length);
    try {
      for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) readSomething(random, reader, tag, floats);
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('Malformed protobuf')) throw error;
    }
    if (reader.pos > bytes.length) throw new Error('read behind the end');
  }
}

function readSomething(random: () => number, reader: ProtoReader, tag: number, floats: Float32Array): void {
  switch (Math.floor(random() * 10)) {
    case 0:
      return void reader.string();
    case 1:
      return void reader.packedFloats(floats, Math.floor(random() * 64));
    case 2:
      return void reader.enter();
    case 3:
      return void reader.view();
    case 4:
      return void reader.int64();
    case 5:
      return void reader.double();
    default:
      return reader.skip(tag);
  }
}

function opening(): Buffer {
  const out = new ProtoWriter();
  out.raw(PREFACE);
  writeSettings(out, []);
  return Buffer.from(out.finish());
}

let nextStream = 1;

function frameOf(random: () => number, encoder: HpackEncoder): Buffer {
  const out = new ProtoWriter(256);
  const dice = random();
  const streamId = random() < 0.97 ? nextStream : Math.floor(random() * nextStream * 2);
  if (dice < 0.45) {
    nextStream = random() < 0.005 ? 1 : ((nextStream + 2) & 0xffff) | 1;
    const block = blockOf(random, encoder);
    writeFrameHeader(out, block.length, FrameType.HEADERS, random() < 0.98 ? 4 : Math.floor(random() * 64), nextStream);
    out.raw(block);
  } else if (dice < 0.8) {
    const message = randomBytes(random, random() < 0.05 ? 12_000 : 60);
    const prefix = Buffer.from([random() < 0.9 ? 0 : Math.floor(random() * 3), 0, 0, message.length >> 8, message.length]);
    writeFrameHeader(
      out,
      5 + message.length,
      FrameType.DATA,
      random() < 0.6 ? 1 : random() < 0.9 ? 0 : Math.floor(random() * 16),
      streamId,
    );
    out.raw(prefix);
    out.raw(message);
  } else if (dice < 0.97) {
    const [type, size] = CONTROL[Math.floor(random() * CONTROL.length)]!;
    const payload = Buffer.from(Uint8Array.from({ length: size }, () => random() * 5));
    writeFrameHeader(
      out,
      size,
      type,
      0,
      type === FrameType.PING || (type === FrameType.WINDOW_UPDATE && random() < 0.5) ? 0 : streamId || 1,
    );
    out.raw(payload);
  } else {
    const payload = randomBytes(random, 20);
    writeFrameHeader(out, payload.length, Math.floor(random() * 12), Math.floor(random() * 64), random() < 0.5 ? 0 : streamId);
    out.raw(payload);
  }
  return Buffer.from(out.finish());
}

const CONTROL = [
  [FrameType.PING, 8],
  [FrameType.WINDOW_UPDATE, 4],
  [FrameType.RST_STREAM, 4],
  [FrameType.PRIORITY, 5],
  [0xfa, 3],
] as const;
const PATHS = ['Hot', 'Unary', 'Later', 'Fail', 'Sum', 'Chat', 'Metadata', 'Nothing'];

function blockOf(random: () => number, encoder: HpackEncoder): Buffer {
  const out = new ProtoWriter(256);
  encoder.beginBlock(out);
  for (const [name, value] of [
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', `/test.Echo/${PATHS[Math.floor(random() * PATHS.length)]!}`],
    ['content-type', 'application/grpc'],
  ] as const) {
    if (random() < 0.995) encoder.field(name, value, out);
  }
  if (random() < 0.3) encoder.field('grpc-timeout', `${Math.floor(random() * 100)}m`, out);
  if (random() < 0.1) encoder.field('grpc-encoding', 'gzip', out);
  if (random() < 0.1) encoder.field('x-noise', randomBytes(random, 30).toString('latin1'), out);
  return Buffer.from(out.finish());
}

function mutate(random: () => number, bytes: Buffer): Buffer {
  if (random() < 0.96 || bytes.length === 0) return bytes;
  const copy = Buffer.from(bytes);
  for (let flips = 1 + random() * 3; flips >= 1; flips--) copy[Math.floor(random() * copy.length)] = random() * 256;
  if (random() < 0.2) return copy.subarray(0, Math.floor(random() * copy.length));
  return copy;
}

function randomBytes(random: () => number, lengthMax: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: random() * lengthMax }, () => (random() < 0.3 ? random() * 12 : random() * 256)));
}
