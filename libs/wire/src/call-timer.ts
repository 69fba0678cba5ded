/** The longest delay that timers take; a later deadline is as good as none. */
const DELAY_MS_MAX = 0x7fff_ffff;

/** Fires once when a deadline passes. */
export class CallTimer {
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly onDeadline: () => void) {}

  start(deadlineMs: number): void {
    if (deadlineMs === Infinity) return;
    this.timer = setTimeout(this.onDeadline, Math.min(DELAY_MS_MAX, Math.max(0, deadlineMs - Date.now())));
    this.timer.unref();
  }

  stop(): void {
    clearTimeout(this.timer);
  }
}
