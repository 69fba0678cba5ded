import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { describe, expect, it, vi } from 'vitest';
import { seededRandom } from '@headrace/base/random';
import { socketPair } from '../test/socket-pair.js';
import { writeNow } from './socket-write.js';

/** Chunks one after the other; each is overwritten as soon as it may be. */
class Sender {
  readonly sent: Buffer[] = [];
  atOnce = 0;
  waiting = 0;
  /** Of all that ever waited. */
  waited = 0;

  constructor(readonly socket: Socket) {}

  send(bytes: Buffer): void {
    this.sent.push(Buffer.from(bytes));
    if (writeNow(this.socket, bytes, () => this.#taken(bytes))) {
      this.atOnce++;
      bytes.fill(0xee);
    } else {
      this.waiting++;
      this.waited++;
    }
  }

  #taken(bytes: Buffer): void {
    this.waiting--;
    bytes.fill(0xee);
  }
}

function collect(socket: Socket): Buffer[] {
  const received: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => received.push(chunk));
  return received;
}

describe('what is written to a socket', () => {
  it('arrives whole and in order, also where the reader is slower, and stays untouched until it is taken', async () => {
    const random = seededRandom(5);
    const { near, far, close } = await socketPair();
    const sender = new Sender(near);
    const received = collect(far);
    for (let i = 0; i < 400; i++) {
      if (random() < 0.1) far.pause();
      if (random() < 0.1) far.resume();
      // Small ones, and some that no kernel takes at once.
      const size = 1 + Math.floor(random() * (random() < 0.05 ? 4e6 : 2000));
      sender.send(Buffer.alloc(size, i & 0x7f));
      if (i % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(sender.waited).toBeGreaterThan(5);
    expect(sender.atOnce).toBeGreaterThan(100);
    near.end();
    const ended = once(far, 'end');
    far.resume();
    await ended;
    expect(Buffer.concat(received).equals(Buffer.concat(sender.sent))).toBe(true);
    expect(sender.waiting).toBe(0);
    await close();
  });

  it('goes past the socket where the kernel takes it, and takes it at once', async () => {
    const { near, far, close } = await socketPair();
    const received = collect(far);
    // The first one of the process shows what a request is.
    writeNow(near, Buffer.from('a'), () => undefined);
    await expect.poll(() => near.writableLength).toBe(0);
    const write = vi.spyOn(near, 'write');
    const sender = new Sender(near);
    for (let i = 0; i < 20; i++) sender.send(Buffer.from('b'));
    expect([sender.atOnce, write.mock.calls.length]).toEqual([20, 0]);
    await expect.poll(() => Buffer.concat(received).toString()).toBe(`a${'b'.repeat(20)}`);
    await close();
  });

  it('waits for the connection, and stays in order behind it', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const far = connect((server.address() as AddressInfo).port, '127.0.0.1');
    const sender = new Sender(far);
    sender.send(Buffer.from('before '));
    const [near] = (await once(server, 'connection')) as [Socket];
    const received = collect(near);
    await expect.poll(() => sender.waiting).toBe(0);
    sender.send(Buffer.from('behind'));
    await expect.poll(() => Buffer.concat(received).toString()).toBe('before behind');
    for (const socket of [near, far]) socket.destroy();
    server.close();
  });

  it('ends a socket whose peer is gone, with its error, and lets go of what waits', async () => {
    const { near, far, close } = await socketPair();
    const sender = new Sender(near);
    far.pause();
    for (let i = 0; i < 20; i++) sender.send(Buffer.alloc(1e6));
    expect(sender.waiting).toBeGreaterThan(0);
    const failed = once(near, 'error') as Promise<[NodeJS.ErrnoException]>;
    far.resetAndDestroy();
    const [error] = await failed;
    expect(['EPIPE', 'ECONNRESET']).toContain(error.code);
    await expect.poll(() => sender.waiting).toBe(0);
    await close();
  });
});
