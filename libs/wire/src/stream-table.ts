/** What a table holds: anything that knows its stream. */
export interface WithId {
  id: number;
}

const SLOTS_START = 16;

/**
 * Open streams of one connection by id: open addressing over a power of two, at most half full. Ids of a peer rise by two, so their
 * halves fill neighbouring slots and nearly never collide; nothing is allocated per stream.
 */
export class StreamTable<Stream extends WithId> {
  count = 0;
  private slots: (Stream | undefined)[] = new Array<Stream | undefined>(SLOTS_START).fill(undefined);

  get(id: number): Stream | undefined {
    const { slots } = this;
    const mask = slots.length - 1;
    for (let at = (id >>> 1) & mask; ; at = (at + 1) & mask) {
      const stream = slots[at];
      if (stream === undefined || stream.id === id) return stream;
    }
  }

  /** The id must not be in the table. */
  add(stream: Stream): void {
    if ((this.count + 1) * 2 > this.slots.length) this.grow();
    this.place(stream);
    this.count++;
  }

  remove(id: number): void {
    const { slots } = this;
    const mask = slots.length - 1;
    let hole = (id >>> 1) & mask;
    while (slots[hole] !== undefined && slots[hole]!.id !== id) hole = (hole + 1) & mask;
    if (slots[hole] === undefined) return;
    this.count--;
    // Entries behind the hole that probed past it move up, so that no search ends early (Knuth, 6.4, algorithm R).
    for (let at = (hole + 1) & mask; ; at = (at + 1) & mask) {
      const stream = slots[at];
      if (stream === undefined) break;
      const home = (stream.id >>> 1) & mask;
      if (((at - home) & mask) >= ((at - hole) & mask)) {
        slots[hole] = stream;
        hole = at;
      }
    }
    slots[hole] = undefined;
  }

  /** A copy, since callers change the table as they go. */
  all(): Stream[] {
    return this.slots.filter((stream) => stream !== undefined);
  }

  private place(stream: Stream): void {
    const mask = this.slots.length - 1;
    let at = (stream.id >>> 1) & mask;
    while (this.slots[at] !== undefined) at = (at + 1) & mask;
    this.slots[at] = stream;
  }

  private grow(): void {
    const old = this.slots;
    this.slots = new Array<Stream | undefined>(old.length * 2).fill(undefined);
    for (const stream of old) if (stream !== undefined) this.place(stream);
  }
}
