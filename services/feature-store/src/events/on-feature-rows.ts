import type { Clock } from '@headrace/base/clock';
import { DEFAULT_PROJECT } from '@headrace/base/ids';
import { CLOCK } from '@headrace/platform/platform-module';
import type { Quarantined, Received, Verdict } from '@headrace/platform/kafka/runner';
import { Inject, Injectable } from '@nestjs/common';
import { IngestRows, type RejectedRow } from '../app/ingest-rows.js';
import { isKept, QuarantineRows } from '../app/quarantine-rows.js';
import { LIMITS, type Limits } from '../config.js';
import { arrivalOfRecordUs } from '../domain/arrival.js';
import { rowAsEvent, type FeatureRowsEvent } from './feature-rows-event.js';

type Event = Received<FeatureRowsEvent>;

/** Rows from anyone. A bad row goes to the dead letter alone, as an event of one row that can be mended and sent again. */
@Injectable()
export class OnFeatureRows {
  constructor(
    private readonly rows: IngestRows,
    private readonly quarantine: QuarantineRows,
    @Inject(LIMITS) private readonly limits: Limits,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async handle(batch: readonly Event[]): Promise<Verdict[]> {
    const nowMs = this.clock.nowMs();
    const fitting = batch.filter((received) => !this.#tooLarge(received));
    const received = fitting.map(({ event, timestampMs, offset }) => ({
      project: event.project || DEFAULT_PROJECT,
      view: event.view,
      rows: event.rows,
      arrivedUs: arrivalOfRecordUs(timestampMs, offset, nowMs),
    }));
    const outcomes = await this.rows.ingest(received);
    await this.quarantine.keep(
      outcomes.flatMap((outcome, i) => {
        if (outcome.kind === 'refused' || outcome.rejected.length === 0) return [];
        const { topic, partition, offset } = fitting[i]!;
        return [{ ...received[i]!, rejected: outcome.rejected, origin: `${topic}/${partition}/${offset}` }];
      }),
    );
    const byEvent = new Map(fitting.map((received, i) => [received, outcomes[i]!]));
    return batch.map((received): Verdict => {
      const outcome = byEvent.get(received);
      if (!outcome)
        return {
          kind: 'dead',
          code: 'MESSAGE_TOO_LARGE',
          reason: `the event has ${received.rawValue.byteLength} bytes; at most ${this.limits.eventBytesMax} are allowed`,
        };
      if (outcome.kind === 'refused') return { kind: 'dead', code: outcome.error.code, reason: outcome.error.message };
      return { kind: 'done', quarantine: outcome.rejected.filter(isKept).map((rejected) => quarantine(received.event, rejected)) };
    });
  }

  #tooLarge({ rawValue }: Event): boolean {
    return rawValue.byteLength > this.limits.eventBytesMax;
  }
}

function quarantine({ project, view, rows }: FeatureRowsEvent, { row, code, reason }: RejectedRow): Quarantined {
  return {
    code,
    reason: `row ${row}: ${reason}`,
    value: rowAsEvent(project || DEFAULT_PROJECT, view, rows[row]!),
    contentType: 'application/json',
  };
}
