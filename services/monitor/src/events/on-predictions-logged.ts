import type { Clock } from '@headrace/base/clock';
import type { PredictionsLoggedData } from '@headrace/codec/predictions-logged';
import { causeOf } from '@headrace/platform/kafka/cause';
import type { Received, Verdict } from '@headrace/platform/kafka/runner';
import { CLOCK } from '@headrace/platform/platform-module';
import { Postgres } from '@headrace/platform/postgres/postgres';
import { Inject, Injectable } from '@nestjs/common';
import { IngestPredictions } from '../app/ingest-predictions.js';
import { park } from '../io/parked-batches.js';

@Injectable()
export class OnPredictionsLogged {
  constructor(
    private readonly predictions: IngestPredictions,
    private readonly postgres: Postgres,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async handle(events: readonly Received<PredictionsLoggedData>[]): Promise<Verdict[]> {
    const outcomes = await this.predictions.ingest(events.map((received) => ({ data: received.event, cause: causeOf(received) })));
    const verdicts: Verdict[] = [];
    for (const [i, outcome] of outcomes.entries()) {
      const received = events[i]!;
      if (outcome.kind === 'refused') verdicts.push({ kind: 'dead', code: outcome.code, reason: outcome.reason });
      else if (outcome.kind === 'empty') verdicts.push({ kind: 'skipped', reason: 'no rows' });
      else {
        if (outcome.kind === 'parked') await this.#park(received);
        verdicts.push({ kind: 'done' });
      }
    }
    return verdicts;
  }

  #park(received: Received<PredictionsLoggedData>): Promise<void> {
    const { project, model, version } = received.event;
    return park(this.postgres, { ...received, project, model, version, eventId: received.id }, this.clock.nowMs());
  }
}
