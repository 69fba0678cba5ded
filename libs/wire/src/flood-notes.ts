/** More addresses are not remembered: each costs memory, and an attacker with so many does not come back from the same one. */
const ADDRESSES_MAX = 10_000;

/**
 * Addresses whose connections were ended for a flood. One connection's budgets say nothing of the next one, and to accept it, greet it and let it spend its
 * budgets again costs more than its peer pays. Nobody is banned: behind a balancer many peers share an address, and those that are connected notice nothing.
 */
export class FloodNotes {
  /** By address the time until which newcomers wait, ms since the epoch; the oldest first. */
  private readonly until = new Map<string, number>();

  constructor(private readonly holdMs: number) {}

  add(address: string, nowMs: number): void {
    this.until.delete(address);
    for (const [oldest, until] of this.until) {
      if (until > nowMs && this.until.size < ADDRESSES_MAX) break;
      this.until.delete(oldest);
    }
    this.until.set(address, nowMs + this.holdMs);
  }

  /** How long a new connection from there is left unread, ms. */
  waitMs(address: string, nowMs: number): number {
    return Math.max(0, (this.until.get(address) ?? 0) - nowMs);
  }
}
