import { expect, it } from 'vitest';
import { FakeClock } from './fake-clock.js';

it('stands still until it is moved', () => {
  const clock = new FakeClock(1_000);
  expect([clock.nowMs(), clock.nowMs()]).toEqual([1_000, 1_000]);
  clock.advance(250);
  clock.setTo(2_000);
  expect(clock.nowMs()).toBe(2_000);
});

it('refuses to go back', () => {
  const clock = new FakeClock(1_000);
  expect(() => clock.setTo(999)).toThrow('moves forward');
});
