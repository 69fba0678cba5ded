import { seededRandom } from '@headrace/base/random';
import { expect, it } from 'vitest';
import { CopyBuffer } from './copy-buffer.js';
import { mergeCopies } from './copy-merge.js';

type Row = readonly [key: string, value: number];

/** By the bytes of its UTF-8 form, as Postgres' COLLATE "C" orders. */
const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

it.each([1, 2, 3, 5])('%i copies come together as one, in the order of their keys, wherever their chunks end', async (parts) => {
  const random = seededRandom(parts);
  for (let round = 0; round < 30; round++) {
    const keys = Array.from({ length: Math.floor(random() * 40) }, () => keyOf(random));
    const rows = [...new Set(keys)]
      .sort(byBytes)
      .flatMap((key) => Array.from({ length: 1 + Math.floor(random() * 3) }, (_, i): Row => [key, i]));
    const partOfKey = new Map(rows.map(([key]) => [key, Math.floor(random() * parts)]));
    const copies = Array.from({ length: parts }, (_, part) =>
      inPieces(copyOf(rows.filter(([key]) => partOfKey.get(key) === part)), random),
    );
    const values: number[] = [];
    let flushes = 0;
    await mergeCopies(
      copies,
      {
        appendRow: (source, tuple) => values.push(source.readInt32BE(tuple + 8)),
        get isFull() {
          return values.length % 7 === 0;
        },
        flush: () => Promise.resolve(void flushes++),
      },
      () => undefined,
    );
    expect(values).toEqual(rows.map(([, value]) => value));
    expect(flushes).toBe(Math.floor(rows.length / 7));
  }
});

it('leaves the other copies when one fails', async () => {
  const left: string[] = [];
  async function* copy(name: string, chunks: readonly Buffer[], failure?: Error): AsyncGenerator<Buffer> {
    try {
      for (const chunk of chunks) yield await Promise.resolve(chunk);
      if (failure) throw failure;
    } finally {
      left.push(name);
    }
  }
  const whole = copyOf([
    ['a', 1],
    ['c', 2],
    ['e', 3],
  ]);
  const copies = [
    copy('whole', [whole.subarray(0, 60), whole.subarray(60)]),
    copy(
      'cut',
      [
        copyOf([
          ['b', 1],
          ['d', 2],
        ]).subarray(0, 45),
      ],
      new Error('gone'),
    ),
  ];
  const sink = { appendRow: () => undefined, isFull: false, flush: () => Promise.resolve() };
  await expect(mergeCopies(copies, sink, () => undefined)).rejects.toThrow('gone');
  expect(left.sort()).toEqual(['cut', 'whole']);
});

function keyOf(random: () => number): string {
  return Array.from(
    { length: 1 + Math.floor(random() * 3) },
    () => ['a', 'b', 'é', '|', '\u{1f600}', '\uffee'][Math.floor(random() * 6)],
  ).join('');
}

function copyOf(rows: readonly Row[]): Buffer {
  const out = new CopyBuffer();
  out.header();
  for (const [key, value] of rows) {
    out.int16(2);
    out.text(key);
    out.int64(value);
  }
  out.int16(-1);
  return out.take();
}

async function* inPieces(bytes: Buffer, random: () => number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(bytes.length, at + 1 + Math.floor(random() * 60));
    yield await Promise.resolve(bytes.subarray(at, end));
    at = end;
  }
}
