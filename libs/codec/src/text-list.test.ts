import { seededRandom } from '@headrace/base/random';
import { describe, expect, it } from 'vitest';
import { ProtoWriter } from './writer.js';
import { TextList } from './text-list.js';
import { ShortBytes } from './short-bytes.js';

/** Field 5, the obvious way. */
function plain(texts: readonly string[]): Buffer {
  const writer = new ProtoWriter();
  for (const text of texts) {
    writer.tag(5, 2);
    writer.string(text);
  }
  return Buffer.from(writer.finish());
}

function bytesOf(list: TextList): Buffer {
  const writer = new ProtoWriter(1);
  list.writeTo(writer);
  return Buffer.from(writer.finish());
}

describe('a list of texts in wire form', () => {
  it('has the bytes of the texts one by one, pushed and filled in any order, and can be used again (seeded)', () => {
    const random = seededRandom(4);
    const list = new TextList(5);
    for (let round = 0; round < 100; round++) {
      const texts: string[] = [];
      list.clear();
      for (let i = 0; i < 20; i++) {
        const text = 'é'.repeat(random() * 3) + 'x'.repeat(random() < 0.1 ? 200 : random() * 40);
        const times = random() < 0.3 ? Math.floor(random() * 60) : 1;
        if (times === 1 && random() < 0.5) list.pushText(ShortBytes.ofText(text));
        else if (times === 1) list.push(text);
        else list.fill(text, times);
        for (let at = 0; at < times; at++) texts.push(text);
      }
      expect(list.count).toBe(texts.length);
      expect(bytesOf(list).equals(plain(texts))).toBe(true);
    }
  });

  it('numbers the rows of a request behind its id', () => {
    for (const prefix of ['', 'id', 'é'.repeat(200)]) {
      for (const [from, to] of [
        [0, 0],
        [0, 12],
        [95, 105],
        [998, 1_003],
        [9_998, 10_000],
        [999_999_998, 1_000_000_000],
      ] as const) {
        const list = new TextList(5);
        list.pushNumbered(ShortBytes.ofText(prefix), from, to);
        const texts = Array.from({ length: to - from }, (_, i) => `${prefix}/${from + i}`);
        expect(list.count).toBe(texts.length);
        expect(bytesOf(list).equals(plain(texts))).toBe(true);
      }
    }
  });
});
