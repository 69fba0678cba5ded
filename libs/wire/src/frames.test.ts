import { ProtoWriter } from '@headrace/codec/writer';
import { seededRandom } from '@headrace/base/random';
import { expect, it } from 'vitest';
import { FrameBudget, ReceiveWindow } from './flow-control.js';
import {
  ConnectionError,
  ErrorCode,
  Flag,
  FrameType,
  readUint32,
  writeFrameHeader,
  writeGoaway,
  writeHeaders,
  writePing,
  writeReset,
  writeSettings,
  writeWindowUpdate,
} from './frames.js';
import { FrameSplitter } from './frame-splitter.js';
import { HeaderBlockCache } from './header-block-cache.js';
import { StreamTable } from './stream-table.js';

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: string;
}

function split(chunks: readonly Buffer[]): Frame[] {
  const frames: Frame[] = [];
  const splitter = new FrameSplitter({
    onFrame(type, flags, streamId, bytes, start, end) {
      frames.push({ type, flags, streamId, payload: bytes.toString('hex', start, end) });
      return true;
    },
  });
  for (const chunk of chunks) splitter.push(chunk, 0, chunk.length);
  expect(splitter.isPartial).toBe(false);
  return frames;
}

it('gives the frames that were written, wherever the chunks are cut', () => {
  const random = seededRandom(21);
  for (let round = 0; round < 200; round++) {
    const out = new ProtoWriter(16);
    const expected: Frame[] = [];
    for (let i = random() * 10; i > 0; i--) {
      const payload = Buffer.alloc(random() * (random() < 0.1 ? 16_384 : 50), random() * 256);
      const frame = {
        type: Math.floor(random() * 256),
        flags: Math.floor(random() * 256),
        streamId: Math.floor(random() * 2 ** 31),
        payload: payload.toString('hex'),
      };
      expected.push(frame);
      writeFrameHeader(out, payload.length, frame.type, frame.flags, frame.streamId);
      out.raw(payload);
    }
    const bytes = Buffer.from(out.finish());
    const chunks: Buffer[] = [];
    for (let at = 0; at < bytes.length;) {
      const size = 1 + Math.floor(random() * (random() < 0.5 ? 12 : 3000));
      chunks.push(bytes.subarray(at, at + size));
      at += size;
    }
    expect(split(chunks)).toEqual(expected);
  }
});

it('writes the control frames of RFC 9113 section 6', () => {
  const out = new ProtoWriter();
  writeSettings(out, [
    [3, 1000],
    [4, 0x7fff_ffff],
  ]);
  writePing(out, true, Buffer.from('01234567'));
  writeGoaway(out, 5, ErrorCode.ENHANCE_YOUR_CALM, 'calm');
  writeReset(out, 7, ErrorCode.CANCEL);
  writeWindowUpdate(out, 9, 0x7fff_ffff);
  expect(split([Buffer.from(out.finish())])).toEqual([
    { type: FrameType.SETTINGS, flags: 0, streamId: 0, payload: '0003000003e800047fffffff' },
    { type: FrameType.PING, flags: Flag.ACK, streamId: 0, payload: '3031323334353637' },
    { type: FrameType.GOAWAY, flags: 0, streamId: 0, payload: '000000050000000b63616c6d' },
    { type: FrameType.RST_STREAM, flags: 0, streamId: 7, payload: '00000008' },
    { type: FrameType.WINDOW_UPDATE, flags: 0, streamId: 9, payload: '7fffffff' },
  ]);
});

it('cuts a header block that is larger than a frame into HEADERS and CONTINUATION', () => {
  const out = new ProtoWriter();
  const block = Buffer.from(Array.from({ length: 25 }, (_, i) => i));
  writeHeaders(out, 3, block, 25, true, 10);
  const frames = split([Buffer.from(out.finish())]);
  expect(frames.map(({ type, flags }) => [type, flags])).toEqual([
    [FrameType.HEADERS, Flag.END_STREAM],
    [FrameType.CONTINUATION, 0],
    [FrameType.CONTINUATION, Flag.END_HEADERS],
  ]);
  expect(frames.map(({ payload }) => payload).join('')).toBe(block.toString('hex'));
});

it('refuses a frame above 16 KiB by its header alone', () => {
  const header = Buffer.from([0, 0x40, 1, 0, 0, 0, 0, 0, 1]);
  expect(() => split([header])).toThrow(ConnectionError);
  expect(readUint32(header, 5)).toBe(1);
});

it('finds the streams that were added and not removed, like a Map, in any order of ids', () => {
  const random = seededRandom(22);
  const table = new StreamTable<{ id: number }>();
  const oracle = new Map<number, { id: number }>();
  for (let step = 0; step < 50_000; step++) {
    const id = 1 + 2 * Math.floor(random() * (step % 5000 < 2500 ? 60 : 3000));
    if (oracle.has(id) ? random() < 0.7 : false) {
      table.remove(id);
      oracle.delete(id);
    } else if (!oracle.has(id) && random() < 0.6) {
      const stream = { id };
      table.add(stream);
      oracle.set(id, stream);
    }
    expect(table.get(id)).toBe(oracle.get(id));
    expect(table.count).toBe(oracle.size);
  }
  expect(new Set(table.all())).toEqual(new Set(oracle.values()));
});

it('gives credit back by half windows and notices a peer that sends more than it may', () => {
  const window = new ReceiveWindow(100);
  expect([window.receive(60), window.consume(49), window.consume(11)]).toEqual([true, 0, 60]);
  expect([window.receive(100), window.receive(1)]).toEqual([true, false]);
});

it('an empty budget refills with time and with useful work', () => {
  const budget = new FrameBudget(3, 10, 'things');
  const spend = (times: number, nowMs: number): void => {
    for (let i = 0; i < times; i++) budget.spend(nowMs);
  };
  spend(3, 1000);
  expect(() => spend(1, 1000)).toThrow(/too many things/);
  spend(2, 1250);
  expect(() => spend(1, 1250)).toThrow(ConnectionError);
  budget.earn(2);
  spend(1, 1250);
});

it('a cached header block is found by its bytes while the table stands, and only then', () => {
  const cache = new HeaderBlockCache<string>();
  const bytes = Buffer.from('abcdef');
  cache.store(bytes, 1, 4, 1, 'bcd');
  expect(cache.find(Buffer.from('xxbcdxx'), 2, 5, 1)).toBe('bcd');
  expect(cache.find(bytes, 1, 4, 2)).toBeUndefined();
  expect(cache.find(bytes, 1, 5, 1)).toBeUndefined();
  for (let i = 0; i < 20; i++) cache.store(Buffer.from([i]), 0, 1, 1, String(i));
  expect([cache.find(Buffer.from([19]), 0, 1, 1), cache.find(Buffer.from([12]), 0, 1, 1), cache.find(Buffer.from([3]), 0, 1, 1)]).toEqual([
    '19',
    '12',
    undefined,
  ]);
});
