import { expect, it } from 'vitest';
import { CopyFeed } from './copy-feed.js';

const chunk = (value: number): Uint8Array => Uint8Array.of(value);

it('hands over every chunk in order, and never holds more than one', async () => {
  const feed = new CopyFeed();
  let sent = 0;
  const sending = (async () => {
    for (let i = 0; i < 100; i++) {
      await feed.send(chunk(i));
      sent++;
    }
    feed.end();
  })();
  const taken: number[] = [];
  for await (const [value] of feed) {
    taken.push(value!);
    await new Promise(setImmediate);
    expect(sent - taken.length).toBeLessThanOrEqual(1);
  }
  await sending;
  expect(taken).toEqual(Array.from({ length: 100 }, (_, i) => i));
});

it('wakes a sender that waits for a copy that has given up, and tells the first reason', async () => {
  const feed = new CopyFeed();
  await feed.send(chunk(1));
  const waiting = expect(feed.send(chunk(2))).rejects.toThrow('the copy is gone');
  feed.fail(new Error('the copy is gone'));
  feed.fail(new Error('something later'));
  await waiting;
  await expect(feed.send(chunk(3))).rejects.toThrow('the copy is gone');
});

it('wakes a copy that waits for a sender that has given up', async () => {
  const feed = new CopyFeed();
  const reading = expect(feed[Symbol.asyncIterator]().next()).rejects.toThrow('no such column');
  feed.fail(new Error('no such column'));
  await reading;
});
