import type { RawRecord } from './client.js';

export interface QueueHooks {
  /** Handles records of one partition; the partition's next ones wait until it resolves. A rejection ends everything. */
  readonly handle: (partition: number, records: readonly RawRecord[], epoch: number) => Promise<void>;
  readonly onFailure: (error: Error) => void;
  /** The source should stop, or may go on. */
  readonly onPressure: (high: boolean) => void;
}

/** Most records of one partition handed out at once. */
const BATCH_MAX = 1_000;
/** The source stops above the first and goes on below the second. */
const HIGH_RECORDS = 5_000;
const LOW_RECORDS = 1_000;
const HIGH_BYTES = 16 * 1024 * 1024;

interface Lane {
  records: RawRecord[];
  bytes: number;
  busy: boolean;
}

/**
 * Turns one stream of records into batches of single partitions, at most `concurrency` at a time, one at a time for each
 * partition. `restart` begins a new epoch: what waits is dropped, what runs is not followed by anything of the old epoch.
 */
export class PartitionQueues {
  readonly #lanes = new Map<number, Lane>();
  readonly #hooks: QueueHooks;
  readonly #concurrency: number;
  #busy = 0;
  #queuedRecords = 0;
  #queuedBytes = 0;
  #pressed = false;
  #held = false;
  #scheduled = false;
  #idle: (() => void)[] = [];
  epoch = 0;

  constructor(concurrency: number, hooks: QueueHooks) {
    this.#concurrency = concurrency;
    this.#hooks = hooks;
  }

  add(partition: number, record: RawRecord): void {
    let lane = this.#lanes.get(partition);
    if (!lane) this.#lanes.set(partition, (lane = { records: [], bytes: 0, busy: false }));
    const bytes = (record.value?.byteLength ?? 0) + (record.key?.byteLength ?? 0);
    lane.records.push(record);
    lane.bytes += bytes;
    this.#queuedRecords++;
    this.#queuedBytes += bytes;
    if (!this.#pressed && (this.#queuedRecords >= HIGH_RECORDS || this.#queuedBytes >= HIGH_BYTES)) this.#press(true);
    // Not at once: the records of one fetch arrive one by one in the same tick and should go out together.
    if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => {
        this.#scheduled = false;
        this.#dispatch();
      });
    }
  }

  /** Nothing new begins until `restart`. */
  hold(): void {
    this.#held = true;
  }

  restart(): void {
    this.epoch++;
    this.#held = false;
    for (const lane of this.#lanes.values()) {
      lane.records = [];
      lane.bytes = 0;
    }
    this.#queuedRecords = 0;
    this.#queuedBytes = 0;
    this.#press(false);
  }

  /** Resolves when no handler runs. */
  idle(): Promise<void> {
    return this.#busy === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve));
  }

  #dispatch(): void {
    for (const [partition, lane] of [...this.#lanes]) {
      if (this.#held || this.#busy >= this.#concurrency) return;
      if (lane.busy || lane.records.length === 0) continue;
      // To the end of the order, so that busy partitions do not starve the others.
      this.#lanes.delete(partition);
      this.#lanes.set(partition, lane);
      this.#run(partition, lane);
    }
  }

  #run(partition: number, lane: Lane): void {
    const records = lane.records.splice(0, BATCH_MAX);
    const bytes =
      lane.records.length === 0 ? lane.bytes : Math.round((lane.bytes * records.length) / (records.length + lane.records.length));
    lane.bytes -= bytes;
    this.#queuedRecords -= records.length;
    this.#queuedBytes -= bytes;
    lane.busy = true;
    this.#busy++;
    this.#hooks
      .handle(partition, records, this.epoch)
      .catch((error: Error) => this.#hooks.onFailure(error))
      .finally(() => {
        lane.busy = false;
        this.#busy--;
        if (this.#busy === 0) for (const resolve of this.#idle.splice(0)) resolve();
        if (this.#pressed && this.#queuedRecords <= LOW_RECORDS && this.#queuedBytes < HIGH_BYTES) this.#press(false);
        this.#dispatch();
      });
  }

  #press(high: boolean): void {
    if (this.#pressed === high) return;
    this.#pressed = high;
    this.#hooks.onPressure(high);
  }
}
