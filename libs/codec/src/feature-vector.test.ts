import { seededRandom } from '@headrace/base/random';
import { describe, expect, it } from 'vitest';
import { splitVector } from './feature-vector.js';

/** As the script inside Redis writes it. */
function join(version: number, rows: readonly (Buffer | null)[]): Buffer {
  const number = (value: number): Buffer => Buffer.from(Uint32Array.of(value).buffer);
  return Buffer.concat([Buffer.of(2), number(version), ...rows.flatMap((row) => [number(row?.length ?? 0), row ?? Buffer.alloc(0)])]);
}

describe('a precomputed vector', () => {
  it('gives back the rows that it was made of, and nothing of another version or another number of views', () => {
    const random = seededRandom(4);
    for (let n = 0; n < 300; n++) {
      const made = Array.from({ length: 1 + Math.floor(random() * 4) }, () =>
        random() < 0.3 ? null : Buffer.from(Array.from({ length: 1 + Math.floor(random() * 600) }, () => Math.floor(random() * 256))),
      );
      const vector = join(n, made);
      const rows: (Buffer | null)[] = [];
      expect(splitVector(vector, n, made.length, rows, 0)).toBe(true);
      expect(rows).toEqual(made);
      expect(splitVector(vector, n + 1, made.length, [], 0)).toBe(false);
      expect(splitVector(vector, n, made.length + 1, [], 0)).toBe(false);
      if (made.length > 1) expect(splitVector(vector, n, made.length - 1, [], 0)).toBe(false);
    }
  });

  it('that is cut anywhere, or not there, gives nothing', () => {
    const vector = join(1, [Buffer.from('abc'), null, Buffer.from('d')]);
    for (let end = 0; end < vector.length; end++) expect(splitVector(vector.subarray(0, end), 1, 3, [], 0), `cut at ${end}`).toBe(false);
    expect(splitVector(null, 1, 3, [], 0)).toBe(false);
  });
});
