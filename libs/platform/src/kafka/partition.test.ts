import { expect, it } from 'vitest';
import { murmur2, partitionOf } from './partition.js';

// Values of Kafka's own test: org.apache.kafka.common.utils.UtilsTest.testMurmur2.
it.each([
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
])('hashes %s as the Java client does', (text, hash) => {
  expect(murmur2(Buffer.from(text)) | 0).toBe(hash);
});

it('puts every key into a partition that exists', () => {
  const seen = new Set(Array.from({ length: 1_000 }, (_, i) => partitionOf(Buffer.from(`key-${i}`), 7)));
  expect([...seen].sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
  expect(partitionOf(new Uint8Array(), 4)).toBeLessThan(4);
});
