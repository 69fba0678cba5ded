import { gzipSync } from 'node:zlib';
import { seededRandom } from '@headrace/base/random';
import { expect, it } from 'vitest';
import { Inbox } from './inbox.js';
import type { InboxOwner } from './inbox.js';
import { Inflater } from './inflate.js';
import { limitsWith } from './limits.js';
import { type GrpcError, Status } from './status.js';

class Owner implements InboxOwner {
  readonly acceptsGzip = true;
  readonly messages: string[] = [];
  ends = 0;
  buffered = 0;
  error: GrpcError | undefined;
  readonly done: Promise<void>;
  private finish!: () => void;

  constructor(private readonly bufferMax = Infinity) {
    this.done = new Promise((resolve) => (this.finish = resolve));
  }

  onMessage(bytes: Uint8Array, start: number, end: number, last: boolean): void {
    this.messages.push(Buffer.from(bytes.subarray(start, end)).toString('latin1'));
    if (last) this.onMessagesEnd();
  }
  onMessagesEnd(): void {
    this.ends++;
    this.finish();
  }
  onInboxError(error: GrpcError): void {
    this.error = error;
    this.finish();
  }
  onBuffered(delta: number): boolean {
    if (this.buffered + delta > this.bufferMax) return false;
    this.buffered += delta;
    return true;
  }
}

/** With another length in the trailer of the gzip. */
function sayingOf(message: Buffer, length: number): Buffer {
  message.writeUInt32LE(length, message.length - 4);
  return message;
}

function framed(text: string, gzip: boolean): Buffer {
  const body = gzip ? gzipSync(Buffer.from(text, 'latin1')) : Buffer.from(text, 'latin1');
  const prefix = Buffer.alloc(5);
  prefix[0] = gzip ? 1 : 0;
  prefix.writeUInt32BE(body.length, 1);
  return Buffer.concat([prefix, body]);
}

it('delivers the same messages in the same order however the bytes are cut, compressed or not', async () => {
  const random = seededRandom(5);
  for (let round = 0; round < 300; round++) {
    const texts = Array.from(
      { length: random() * 6 },
      () => 'x'.repeat(random() < 0.3 ? 0 : random() * (random() < 0.1 ? 9000 : 80)) + String(random()),
    );
    if (random() < 0.3) texts.push('');
    const bytes = Buffer.concat(texts.map((text) => framed(text, random() < 0.4)));
    const owner = new Owner();
    const inbox = new Inbox(owner, limitsWith(), new Inflater(64));
    for (let at = 0; ;) {
      const size = Math.floor(random() * (random() < 0.5 ? 7 : 400));
      const last = at + size >= bytes.length;
      inbox.push(bytes, at, Math.min(bytes.length, at + size), last);
      at += size;
      if (last) break;
    }
    await owner.done;
    expect(owner).toMatchObject({ messages: texts, ends: 1, buffered: 0, error: undefined });
  }
});

it.each([
  ['a stream that ends inside a prefix', Buffer.from([0, 0]), Status.INTERNAL],
  ['a stream that ends inside a message', Buffer.from([0, 0, 0, 0, 2, 1]), Status.INTERNAL],
  ['a compressed flag of 2', Buffer.from([2, 0, 0, 0, 0]), Status.INTERNAL],
  ['a message above the limit, by its prefix alone', Buffer.from([0, 0x7f, 0xff, 0xff, 0xff]), Status.RESOURCE_EXHAUSTED],
  ['a compressed message that is no gzip', Buffer.from([1, 0, 0, 0, 2, 1, 2]), Status.INTERNAL],
  ['a small gzip that grows above the limit', framed('y'.repeat(60_000), true), Status.RESOURCE_EXHAUSTED],
  ['a gzip that says itself to be above the limit', framed('y'.repeat(200_000), true), Status.RESOURCE_EXHAUSTED],
  ['a gzip that is longer than it says', sayingOf(framed('y'.repeat(200_000), true), 900), Status.INTERNAL],
  ['a gzip that is shorter than it says', sayingOf(framed(Array.from({ length: 300 }, (_, i) => i).join(), true), 40_000), Status.INTERNAL],
])('%s ends the call', async (_, bytes, code) => {
  const owner = new Owner();
  new Inbox(owner, limitsWith({ messageBytesMax: 50_000 }), new Inflater(1)).push(bytes, 0, bytes.length, true);
  await owner.done;
  expect(owner.error).toMatchObject({ code });
  expect(owner.messages).toEqual([]);
});

it('memory that is not granted ends the call, and what was held is given back', async () => {
  const owner = new Owner(3000);
  const inbox = new Inbox(owner, limitsWith(), new Inflater(1));
  const bytes = framed('z'.repeat(10_000), false);
  for (let at = 0; at < bytes.length && owner.error === undefined; at += 500) inbox.push(bytes, at, at + 500, false);
  expect(owner.error).toMatchObject({ code: Status.RESOURCE_EXHAUSTED });
  inbox.reset();
  expect(owner.buffered).toBe(0);
});

it('an inflation that ends behind a reset reaches nobody', async () => {
  const owner = new Owner();
  const inbox = new Inbox(owner, limitsWith(), new Inflater(4));
  const bytes = framed('late'.repeat(5000) + String(Math.PI), true);
  inbox.push(bytes, 0, bytes.length, true);
  inbox.reset();
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(owner).toMatchObject({ messages: [], ends: 0, error: undefined, buffered: 0 });
});
