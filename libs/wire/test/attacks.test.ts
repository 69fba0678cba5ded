import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WireClient } from '../src/client.js';
import { ErrorCode, FrameType } from '../src/frames.js';
import { RAW_BYTES } from '../src/handler.js';
import { DEFAULT_LIMITS } from '../src/limits.js';
import type { Limits } from '../src/limits.js';
import { WireServer } from '../src/server.js';
import { RawPeer } from './raw-peer.js';
import { eventually, testService } from './services.js';
import type { Seen } from './services.js';

const seen: Seen = { aborts: [], ticks: 0, batches: [] };
const HOT = { path: '/test.Echo/Hot', kind: 'unary', request: RAW_BYTES, response: RAW_BYTES } as const;
let server: WireServer;
let client: WireClient;
let port: number;
let memoryBefore: number;

/** An attacker may cost this much memory, whatever it does: the limits of one connection, and what the attackers hold themselves, for they run in this process. */
const MEMORY_BYTES_MAX = 160e6;

async function start(limits: Partial<Limits> = {}): Promise<void> {
  server = new WireServer(testService(seen), { limits, onDefect: (error) => expect.fail(String(error)) });
  ({ port } = await server.listen({ port: 0 }));
  client = new WireClient({ host: '127.0.0.1', port });
  await served();
  memoryBefore = process.memoryUsage().rss;
}

/** The other client: it still gets its answers, and soon. */
async function served(): Promise<void> {
  for (let i = 0; i < 20; i++)
    expect(Buffer.from(await client.unary(HOT, Buffer.from('still here'), { timeoutMs: 2000 })).toString()).toBe('still here');
}

beforeEach(() => {
  seen.aborts.length = seen.batches.length = 0;
});

afterEach(async () => {
  await served();
  expect(process.memoryUsage().rss - memoryBefore).toBeLessThan(MEMORY_BYTES_MAX);
  await client.close();
  server.destroy();
  await eventually(() => expect(server.stats).toMatchObject({ connectionsOpen: 0, bufferedBytes: 0 }));
});

describe('a peer that is slow on purpose', () => {
  it('slowloris: connections that never finish their preface, or send nothing, are closed', async () => {
    await start({ handshakeMs: 300 });
    const peers = await Promise.all(Array.from({ length: 50 }, () => RawPeer.connect(port, { preface: false })));
    peers.forEach((peer, i) => i % 2 === 0 && peer.socket.write('PRI * HT'));
    await served();
    await eventually(() => expect(peers.every((peer) => peer.closed)).toBe(true));
  });

  it('a frame, a header block and a message that are begun and never finished are ended', async () => {
    await start({ halfSentMs: 300 });
    const [frame, block, message] = [await RawPeer.connect(port), await RawPeer.connect(port), await RawPeer.connect(port)];
    frame.send(Buffer.from([0, 10, 0, 0]));
    block.send(block.request(1, '/test.Echo/Hot', [], 0));
    message.send(message.request(1, '/test.Echo/Hot'), RawPeer.frame(FrameType.DATA, 0, 1, Buffer.from([0, 0, 0, 1, 0, 65])));
    await eventually(() =>
      expect([frame.goawayCode, block.goawayCode]).toEqual([ErrorCode.ENHANCE_YOUR_CALM, ErrorCode.ENHANCE_YOUR_CALM]),
    );
    await eventually(() => expect(message.count(FrameType.HEADERS)).toBe(1));
    expect(message.closed).toBe(false);
  });

  it('a peer that takes no answers is not read any more, and cut in the end', async () => {
    await start({ outputBytesMax: 100_000, outputStallMs: 700 });
    const peer = await RawPeer.connect(port);
    peer.socket.pause();
    const window = Buffer.alloc(4);
    window.writeUInt32BE(0x7000_0000);
    peer.send(
      RawPeer.frame(FrameType.WINDOW_UPDATE, 0, 0, window),
      RawPeer.frame(FrameType.SETTINGS, 0, 0, Buffer.from([0, 4, 0x70, 0, 0, 0])),
    );
    const body = Buffer.alloc(16_000);
    body.writeUInt32BE(body.length - 5, 1);
    for (let id = 1; id < 4000; id += 2) peer.send(peer.request(id, '/test.Echo/Hot'), RawPeer.frame(FrameType.DATA, 1, id, body));
    await served();
    await eventually(() => expect(server.stats.connectionsOpen).toBe(1));
    peer.socket.destroy();
  });
});

describe('a peer that sends much', () => {
  it('rapid reset: after a burst the connection is ended', async () => {
    await start();
    const peer = await RawPeer.connect(port);
    for (let id = 1; id < 20_000 && !peer.closed; id += 2) {
      peer.send(
        peer.request(id, '/test.Echo/Hang'),
        RawPeer.frame(FrameType.DATA, 1, id, Buffer.alloc(5)),
        RawPeer.frame(FrameType.RST_STREAM, 0, id, Buffer.from([0, 0, 0, 8])),
      );
      if (id % 100 === 1) await new Promise(setImmediate);
    }
    await eventually(() => expect(peer.goawayCode).toBe(ErrorCode.ENHANCE_YOUR_CALM));
    expect(server.stats.callsStarted).toBeLessThan(3000);
    expect(server.stats.callsCancelled).toBeGreaterThan(900);
  });

  it.each([
    ['PING', RawPeer.frame(FrameType.PING, 0, 0, Buffer.alloc(8))],
    ['SETTINGS', RawPeer.frame(FrameType.SETTINGS, 0, 0)],
    ['PRIORITY', RawPeer.frame(FrameType.PRIORITY, 0, 1, Buffer.from([0, 0, 0, 5, 1]))],
    ['unknown frames', RawPeer.frame(0xbb, 0, 0, Buffer.from('x'))],
    ['WINDOW_UPDATE in single bytes', RawPeer.frame(FrameType.WINDOW_UPDATE, 0, 0, Buffer.from([0, 0, 0, 1]))],
  ])('a flood of %s is ended', async (_, frame) => {
    await start();
    const peer = await RawPeer.connect(port);
    peer.send(...Array.from({ length: 60_000 }, () => frame));
    await eventually(() => expect(peer.goawayCode).toBe(ErrorCode.ENHANCE_YOUR_CALM));
  });

  it('a flood of PINGs is ended before it holds others up; a peer that calls may ask four times with each call', async () => {
    await start();
    const ping = RawPeer.frame(FrameType.PING, 0, 0, Buffer.alloc(8));
    const answered = (peer: RawPeer): number => peer.frames.filter(({ type, flags }) => type === FrameType.PING && flags === 1).length;
    const flood = await RawPeer.connect(port);
    flood.send(...Array.from({ length: 10_000 }, () => ping));
    await eventually(() => expect(flood.goawayCode).toBe(ErrorCode.ENHANCE_YOUR_CALM));
    expect(answered(flood)).toBeLessThanOrEqual(DEFAULT_LIMITS.pingBurst);
    const caller = await RawPeer.connect(port);
    for (let id = 1; id < 400; id += 2) {
      caller.send(ping, ping, ping, ping, caller.request(id, '/test.Echo/Hot'), RawPeer.frame(FrameType.DATA, 1, id, Buffer.alloc(5)));
      if (id % 50 === 1) await eventually(() => expect(answered(caller)).toBe((id + 1) * 2));
    }
    await eventually(() => expect(answered(caller)).toBe(800));
    expect(caller.goawayCode).toBeUndefined();
    caller.socket.destroy();
  });

  it('a flood that was cut is left unread, and its next connection waits; those that stand do not', async () => {
    // Longer than a busy machine takes for what stands before the wait.
    await start({ floodHoldMs: 1200 });
    const ping = RawPeer.frame(FrameType.PING, 0, 0, Buffer.alloc(8));
    const flood = await RawPeer.connect(port);
    flood.send(...Array.from({ length: 1000 }, () => ping));
    await eventually(() => expect(flood.goawayCode).toBe(ErrorCode.ENHANCE_YOUR_CALM));
    const cutMs = performance.now();
    // More than the kernel keeps for a socket that nobody reads.
    flood.send(Buffer.alloc(16e6));
    const next = await RawPeer.connect(port);
    next.send(ping, next.request(1, '/test.Echo/Hot'), RawPeer.frame(FrameType.DATA, 1, 1, Buffer.alloc(5)));
    await served();
    expect(server.stats.connectionsHeld).toBe(1);
    expect(flood.closed).toBe(false);
    expect(flood.socket.writableLength).toBeGreaterThan(0);
    // Our own SETTINGS say that it is connected.
    await eventually(() => expect(next.count(FrameType.SETTINGS)).toBe(1));
    expect(next.count(FrameType.PING)).toBe(0);
    await eventually(() => expect(next.frames.filter(({ type }) => type === FrameType.HEADERS).length).toBe(2));
    // The flood was noted before its GOAWAY was read here.
    expect(performance.now() - cutMs).toBeGreaterThan(1100);
    await eventually(() => expect(flood.closed).toBe(true));
    const later = await RawPeer.connect(port);
    later.send(ping);
    await eventually(() => expect(later.count(FrameType.PING)).toBe(1));
    expect(server.stats.connectionsHeld).toBe(1);
    next.socket.destroy();
    later.socket.destroy();
  });

  it('a flood of empty DATA frames is ended', async () => {
    await start();
    const peer = await RawPeer.connect(port);
    peer.send(peer.request(1, '/test.Echo/Sum'), ...Array.from({ length: 10_000 }, () => RawPeer.frame(FrameType.DATA, 0, 1)));
    await eventually(() => expect(peer.goawayCode).toBe(ErrorCode.ENHANCE_YOUR_CALM));
  });

  it('CONTINUATION without end is ended at the size of a header block', async () => {
    await start();
    const peer = await RawPeer.connect(port);
    peer.send(
      peer.request(1, '/test.Echo/Hot', [], 0),
      ...Array.from({ length: 100 }, () => RawPeer.frame(FrameType.CONTINUATION, 0, 1, Buffer.alloc(1000, 0x82))),
    );
    await eventually(() => expect(peer.goawayCode).toBe(ErrorCode.ENHANCE_YOUR_CALM));
  });

  it('a few bytes that name a large header a thousand times are answered RESOURCE_EXHAUSTED', async () => {
    await start();
    const peer = await RawPeer.connect(port);
    peer.send(peer.request(1, '/test.Echo/Hot', [['x-big', 'v'.repeat(900)]], 5));
    await eventually(() => expect(peer.count(FrameType.HEADERS)).toBe(1));
    peer.send(RawPeer.frame(FrameType.HEADERS, 5, 3, Buffer.alloc(16_000, 0xbe)));
    await eventually(() => expect(peer.count(FrameType.HEADERS)).toBe(2));
    expect(server.stats.callsFailed).toBe(2);
  });

  it('ten thousand streams at once: as many as allowed are open, the others are refused', async () => {
    await start({ streamsMax: 500 });
    const peer = await RawPeer.connect(port);
    for (let id = 1; id < 20_001 && !peer.closed; id += 2) peer.send(peer.request(id, '/test.Echo/Hang'));
    await eventually(() => expect(peer.goawayCode).toBe(ErrorCode.ENHANCE_YOUR_CALM));
    expect(server.stats.streamsRefused).toBeGreaterThan(1000);
  });

  it('declared lengths allocate nothing, and half messages together are bounded', async () => {
    await start({ connectionBufferBytesMax: 1_000_000 });
    const peer = await RawPeer.connect(port);
    const prefix = Buffer.from([0, 0, 0x3f, 0xff, 0xff]);
    for (let id = 1; id < 1001; id += 2)
      peer.send(peer.request(id, '/test.Echo/Hot'), RawPeer.frame(FrameType.DATA, 0, id, Buffer.concat([prefix, Buffer.alloc(10)])));
    await eventually(() => expect(server.stats.bufferedBytes).toBe(500 * 1024));
    for (let id = 1; id < 1001; id += 2) peer.send(RawPeer.frame(FrameType.DATA, 0, id, Buffer.alloc(10_000)));
    await eventually(() => expect(server.stats.callsFailed).toBeGreaterThan(100));
    expect(server.stats.bufferedBytes).toBeLessThanOrEqual(1_000_000);
    peer.socket.destroy();
  });

  it('a gzip bomb stops at the size of a message, many at once too', async () => {
    await start();
    const bomb = gzipSync(Buffer.alloc(200e6), { level: 9 });
    const payload = Buffer.concat([Buffer.from([1, 0, 0, 0, 0]), bomb]);
    payload.writeUInt32BE(bomb.length, 1);
    const peer = await RawPeer.connect(port);
    for (let id = 1; id < 41; id += 2) {
      peer.send(peer.request(id, '/test.Echo/Hot', [['grpc-encoding', 'gzip']]));
      for (let at = 0; at < payload.length; at += 16_000)
        peer.send(RawPeer.frame(FrameType.DATA, at + 16_000 >= payload.length ? 1 : 0, id, payload.subarray(at, at + 16_000)));
    }
    await served();
    await eventually(() => expect(server.stats.callsFailed).toBe(20));
    expect(peer.count(FrameType.HEADERS)).toBe(20);
    peer.socket.destroy();
  });
});
