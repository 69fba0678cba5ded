import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '@headrace/base/random';
import { socketPair } from '../test/socket-pair.js';
import { readSocket } from './socket-input.js';

describe('what a socket receives', () => {
  it('comes whole and in order on connections that share the buffer, without an event and a new buffer for each chunk', async () => {
    const random = seededRandom(11);
    const pairs = [await socketPair(), await socketPair(), await socketPair()];
    const got = pairs.map(() => [] as Buffer[]);
    const buffers = new Set<Buffer>();
    pairs.forEach(({ near }, i) =>
      readSocket(near, (bytes, end) => {
        buffers.add(bytes);
        got[i]!.push(Buffer.from(bytes.subarray(0, end)));
      }),
    );
    for (const { near } of pairs) expect(near.listenerCount('data')).toBe(0);
    const sent = pairs.map(() => Buffer.from(Array.from({ length: 300_000 }, () => random() * 256)));
    for (let at = 0; at < 300_000;) {
      const size = 1 + Math.floor(random() * 20_000);
      pairs.forEach(({ far }, i) => far.write(sent[i]!.subarray(at, at + size)));
      at += size;
      await new Promise((resolve) => setImmediate(resolve));
    }
    const ends = pairs.map(({ near }) => once(near, 'end'));
    for (const { far } of pairs) far.end();
    await Promise.all(ends);
    pairs.forEach((_, i) => expect(Buffer.concat(got[i]!).equals(sent[i]!)).toBe(true));
    expect(buffers.size).toBe(1);
    for (const { close } of pairs) await close();
  });

  it('waits in the kernel while the socket is paused', async () => {
    const { near, far, close } = await socketPair();
    let received = 0;
    readSocket(near, (_, end) => (received += end));
    far.write('before');
    await expect.poll(() => received).toBe(6);
    near.pause();
    far.write('behind');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(received).toBe(6);
    near.resume();
    await expect.poll(() => received).toBe(12);
    await close();
  });
});
