import { assert } from '@headrace/base/assert';
import type { Clock } from '@headrace/base/clock';

/** A clock that moves only when told, and never backwards. */
export class FakeClock implements Clock {
  private currentMs: number;

  /** Starts at 2026-01-01T00:00:00Z when not told otherwise. */
  constructor(startMs: number = Date.UTC(2026, 0, 1)) {
    this.currentMs = startMs;
  }

  nowMs(): number {
    return this.currentMs;
  }

  advance(byMs: number): void {
    assert(byMs >= 0, 'a clock moves forward');
    this.currentMs += byMs;
  }

  setTo(atMs: number): void {
    this.advance(atMs - this.currentMs);
  }
}
