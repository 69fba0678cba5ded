import { expect, it } from 'vitest';
import { ByteReader, ByteWriter } from './bytes.js';
import { DistinctSketch, murmur3 } from './distinct-sketch.js';

it('hashes as the reference MurmurHash3 does', () => {
  // SMHasher's published vectors for x86_32.
  const vectors: [string, number, number][] = [
    ['', 0, 0],
    ['', 1, 0x514e28b7],
    ['', 0xffffffff, 0x81f16f39],
    ['test', 0, 0xba6bd213],
    ['test', 0x9747b28c, 0x704b81dc],
    ['Hello, world!', 0, 0xc0363e43],
    ['Hello, world!', 0x9747b28c, 0x24884cba],
    ['The quick brown fox jumps over the lazy dog', 0x9747b28c, 0x2fa826cd],
  ];
  for (const [text, seed, hash] of vectors) expect(murmur3(Buffer.from(text), seed)).toBe(hash);
});

it('counts to within four standard errors from one to a million values', () => {
  for (const [size, relative] of [
    [1, 0],
    [5, 0],
    [100, 0.03],
    [3_000, 0.065],
    [30_000, 0.065],
    [1_000_000, 0.065],
  ] as const) {
    const sketch = new DistinctSketch();
    for (let i = 0; i < size; i++) sketch.add(size % 2 === 0 ? `value ${i}` : i);
    expect(Math.abs(sketch.estimate() - size) / size).toBeLessThanOrEqual(relative);
  }
  expect(new DistinctSketch().estimate()).toBe(0);
});

it('knows a value again, in any order and from any tile', () => {
  const whole = new DistinctSketch();
  const merged = new DistinctSketch();
  for (const residue of [0, 1, 2]) {
    const part = new DistinctSketch();
    for (let i = residue; i < 900; i += 2)
      for (const value of [i, `${i}`, i % 5 === 0]) for (const sketch of [part, whole]) sketch.add(value);
    const out = new ByteWriter();
    part.write(out);
    merged.mergeFrom(new ByteReader().over(out.take()));
  }
  const [a, b] = [new ByteWriter(), new ByteWriter()];
  whole.write(a);
  merged.write(b);
  expect(b.take()).toEqual(a.take());
});
