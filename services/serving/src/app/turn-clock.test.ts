import { describe, expect, it } from 'vitest';
import { TurnClock } from './turn-clock.js';

describe('the clock of a turn', () => {
  it('gives all requests of a turn one time, and is read again in the next', () => {
    let nowMs = 5;
    const clock = new TurnClock(() => nowMs);
    expect(clock.nowMs).toBe(5);
    const { startedAtMs } = clock;
    nowMs = 9;
    expect([clock.nowMs, clock.startedAtMs]).toEqual([5, startedAtMs]);
    clock.end();
    expect(clock.nowMs).toBe(9);
    expect(clock.startedAtMs).toBeGreaterThanOrEqual(startedAtMs);
  });
});
