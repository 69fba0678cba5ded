import { Inject, Injectable } from '@nestjs/common';
import type { Clock } from '@headrace/base/clock';
import { CLOCK } from '@headrace/platform/platform-module';
import { pushArrivals } from '../domain/arrival.js';
import type { IncomingRow } from '../domain/feature-row.js';
import { IngestRows, type RejectedRow } from './ingest-rows.js';
import { QuarantineRows } from './quarantine-rows.js';
import type { Destination } from './store-rows.js';

export interface Push {
  readonly project: string;
  readonly view: string;
  readonly rows: readonly IncomingRow[];
  readonly to: Destination;
}

export interface Pushed {
  /** Duplicates included. */
  readonly accepted: number;
  readonly duplicates: number;
  readonly rejected: readonly RejectedRow[];
  /** One for each row, in order. */
  readonly verdicts: readonly RowVerdict[];
}

export type RowVerdict = 'accepted' | 'duplicate' | 'refused';

/** Rows from a caller who waits for the answer. Sent again they change nothing, so a caller that got no answer just repeats the call. */
@Injectable()
export class PushRows {
  readonly #nextArrivalUs = pushArrivals();

  constructor(
    private readonly rows: IngestRows,
    private readonly quarantine: QuarantineRows,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** @throws AppError when none of the rows could be taken: the view is unknown, or they are none or too many. */
  async push({ project, view, rows, to }: Push): Promise<Pushed> {
    const arrivedUs = this.#nextArrivalUs(this.clock.nowMs());
    const outcome = await this.rows.push({ project, view, rows, arrivedUs }, to);
    if (outcome.kind === 'refused') throw outcome.error;
    const { accepted, rejected, duplicates } = outcome;
    await this.quarantine.keep([{ project, view, rows, rejected, arrivedUs, origin: `push/${arrivedUs}` }]);
    const verdicts = rows.map((): RowVerdict => 'accepted');
    for (const { row } of rejected) verdicts[row] = 'refused';
    for (const row of duplicates) verdicts[row] = 'duplicate';
    return { accepted, duplicates: duplicates.length, rejected, verdicts };
  }
}
