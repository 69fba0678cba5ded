import { sleep } from '@headrace/base/clock';
import { decodePredictionsLogged } from '@headrace/codec/predictions-logged';
import type { OutgoingRecord } from '@headrace/events/envelope';
import { toDeadLetter } from '@headrace/platform/kafka/dead-letter';
import { enqueue } from '@headrace/platform/postgres/outbox';
import { Postgres } from '@headrace/platform/postgres/postgres';
import type { Background } from '@headrace/platform/service';
import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, type Config } from '../config.js';
import { readParked, unpark, type ParkedRow } from '../io/parked-batches.js';
import { Telemetry } from '../telemetry.js';
import { IngestPredictions } from './ingest-predictions.js';

/** Group under which the log is consumed; dead letters of parked batches name it too, so that a replay finds its way. */
export const PREDICTIONS_GROUP = 'monitor-predictions';

const BATCHES_PER_ROUND = 50;

/** Folds the parked log batches as soon as the registry describes their version; what it says never existed is dead-lettered. */
@Injectable()
export class UnparkBatches implements Background {
  readonly name = 'unparking';
  readonly #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(
    private readonly postgres: Postgres,
    private readonly predictions: IngestPredictions,
    private readonly telemetry: Telemetry,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  start(): Promise<void> {
    this.#loop = this.#run();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      try {
        while (!this.#stopping.signal.aborted && (await this.#round()));
      } catch (error) {
        this.telemetry.unparkingFailed(error);
      }
      await sleep(this.config.judgeEveryMs, this.#stopping.signal).catch(() => undefined);
    }
  }

  /** @returns whether there may be more to do now. Ingestion is idempotent, so a crash before `unpark` does no harm. */
  async #round(): Promise<boolean> {
    const parked = await readParked(this.postgres, BATCHES_PER_ROUND);
    if (parked.length === 0) return false;
    const outcomes = await this.predictions.ingest(
      parked.map((row) => ({ data: decodePredictionsLogged(row.rawValue), cause: causeOfParked(row) })),
    );
    const settled = parked.filter((_, i) => outcomes[i]!.kind !== 'parked');
    const letters = parked.flatMap((row, i): OutgoingRecord[] => {
      const outcome = outcomes[i]!;
      return outcome.kind === 'refused' ? [toDeadLetter(row, outcome.code, outcome.reason, PREDICTIONS_GROUP)] : [];
    });
    await this.postgres.transaction(async (tx) => {
      await unpark(
        tx,
        settled.map((row) => row.id),
      );
      await enqueue(tx, letters);
    });
    return settled.length === BATCHES_PER_ROUND;
  }
}

const causeOfParked = ({ eventId, rawHeaders }: ParkedRow) => ({
  traceparent: rawHeaders['traceparent'] ?? '',
  correlationId: rawHeaders['ce_correlationid'] ?? eventId,
  causationId: eventId,
});
