import { ConnectionError, ErrorCode, WINDOW_MAX } from './frames.js';

/**
 * The receiving side of one window: what the peer may still send, and what we have consumed but not yet given back. Credit goes back in
 * steps of half a window, so that a stream of small frames costs few WINDOW_UPDATEs.
 */
export class ReceiveWindow {
  private available: number;
  private consumed = 0;

  constructor(private readonly size: number) {
    this.available = size;
  }

  reset(): void {
    this.available = this.size;
    this.consumed = 0;
  }

  /** Counts received bytes; false when the peer sent more than it may. */
  receive(count: number): boolean {
    this.available -= count;
    return this.available >= 0;
  }

  /** Counts bytes that need no more room here and returns the credit to send now, often 0. */
  consume(count: number): number {
    this.consumed += count;
    if (this.consumed * 2 < this.size) return 0;
    const credit = this.consumed;
    this.consumed = 0;
    this.available += credit;
    return credit;
  }
}

/** Adds an increment to a send window; undefined when it would exceed 2^31-1 (RFC 9113 section 6.9.1). */
export function grownWindow(window: number, increment: number): number | undefined {
  const grown = window + increment;
  return grown > WINDOW_MAX ? undefined : grown;
}

/** A budget of frames that refills with time and is earned by useful work; an empty one means that the peer only keeps us busy. */
export class FrameBudget {
  private tokens: number;
  private refilledMs = 0;

  constructor(
    private readonly burst: number,
    private readonly perSecond: number,
    private readonly what: string,
  ) {
    this.tokens = burst;
  }

  earn(count: number): void {
    if (this.tokens < this.burst) this.tokens += count;
  }

  /** Takes one; throws ENHANCE_YOUR_CALM when there is none left. */
  spend(nowMs: number): void {
    if (this.refilledMs === 0) this.refilledMs = nowMs;
    if (--this.tokens >= 0) return;
    const elapsedMs = nowMs - this.refilledMs;
    this.refilledMs = nowMs;
    this.tokens = Math.min(this.burst, (Math.max(0, elapsedMs) * this.perSecond) / 1000) - 1;
    if (this.tokens < 0) throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, `too many ${this.what}`);
  }
}
