import { expect, it } from 'vitest';
import { SharedBuffers } from './shared-buffers.js';

it('gives memory out once until it comes back, and uses it again for what fits', () => {
  const buffers = new SharedBuffers();
  const first = buffers.copyOf(Buffer.from('abc'), 2);
  const second = buffers.copyOf(Buffer.from('xyz'), 3);
  expect([first.toString(), second.toString()]).toEqual(['ab', 'xyz']);
  expect(first.buffer).toBeInstanceOf(SharedArrayBuffer);
  expect(first.buffer).not.toBe(second.buffer);
  buffers.giveBack(first);
  const large = buffers.copyOf(Buffer.alloc(100_000, 7), 100_000);
  expect(large.buffer).not.toBe(first.buffer);
  const third = buffers.copyOf(Buffer.from('third'), 5);
  expect(third.buffer).toBe(first.buffer);
  expect([second.toString(), third.toString(), large[99_999]]).toEqual(['xyz', 'third', 7]);
});
