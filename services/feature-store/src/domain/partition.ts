/** One range partition of a view's table: event times from (included) to (excluded). */
export interface Partition {
  /** Part of the table's name: year and month of its start. */
  readonly suffix: string;
  readonly fromMs: number;
  readonly toMs: number;
}

/** Partitions start in January 1900 and are `months` long, so a row always finds the same one, whoever makes it. */
export function partitionOf(eventTimeMs: number, months: number): Partition {
  const date = new Date(eventTimeMs);
  const index = Math.floor(((date.getUTCFullYear() - 1900) * 12 + date.getUTCMonth()) / months);
  const fromMs = Date.UTC(1900, index * months);
  return { suffix: new Date(fromMs).toISOString().slice(0, 7).replace('-', ''), fromMs, toMs: Date.UTC(1900, (index + 1) * months) };
}
