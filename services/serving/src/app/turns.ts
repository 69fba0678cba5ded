/** Work under one name runs one after the other, in the order in which it was asked for; a failure does not hold up what comes after. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Whether work under the name runs or waits. */
  has(name: string): boolean {
    return this.#last.has(name);
  }

  run<T>(name: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#last.get(name) ?? Promise.resolve()).then(work, work);
    const settled = turn
      .catch(() => undefined)
      .finally(() => {
        if (this.#last.get(name) === settled) this.#last.delete(name);
      });
    this.#last.set(name, settled);
    return turn;
  }

  /** When all that was asked for so far has ended, well or not. */
  async allEnded(): Promise<void> {
    await Promise.allSettled(this.#last.values());
  }
}
