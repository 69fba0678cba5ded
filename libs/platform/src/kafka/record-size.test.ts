import { expect, it } from 'vitest';
import { recordBytes, sendSlices } from './record-size.js';

const record = (bytes: number, topic = 't') => ({ topic, key: 'k', value: new Uint8Array(bytes), headers: { a: 'b' } });

it('slices in order so that no slice exceeds the limit', () => {
  const sizes = [300, 300, 300, 900, 10, 10, 990 - recordBytes(record(0))];
  const slices = sendSlices(
    sizes.map((size) => record(size)),
    1_000,
  );
  expect(slices.flat().map((r) => r.value.byteLength)).toEqual(sizes);
  for (const slice of slices) expect(slice.reduce((sum, r) => sum + recordBytes(r), 0)).toBeLessThanOrEqual(1_000);
  expect(slices.length).toBeLessThan(sizes.length);
});

it('refuses one record that is too large, naming size and limit, and lets dead letters be as large as any broker of ours takes', () => {
  expect(() => sendSlices([record(10), record(2_000_000)], 1_000_000)).toThrow(
    /t: the event is too large: 20000\d\d bytes with key and headers; the limit is 1000000/,
  );
  expect(sendSlices([record(8_500_000, 't.dead')], 1_000_000)).toHaveLength(1);
  expect(sendSlices([], 10)).toEqual([]);
});
