/** Ids that are remembered: as many as streams may be open by default, for which frames may be under way when we reset them. */
const KEPT = 1024;

/** The last few stream ids that we reset. Searched only when a frame comes for a stream that is no more. */
export class RecentIds {
  private ids: Int32Array | null = null;
  private next = 0;

  add(id: number): void {
    this.ids ??= new Int32Array(KEPT);
    this.ids[this.next] = id;
    this.next = (this.next + 1) % KEPT;
  }

  has(id: number): boolean {
    return this.ids?.includes(id) ?? false;
  }
}
