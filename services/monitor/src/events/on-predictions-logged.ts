import type { PredictionsLoggedData } from '@headrace/codec/predictions-logged';
import { causeOf } from '@headrace/platform/kafka/cause';
import type { Received, Verdict } from '@headrace/platform/kafka/runner';
import { Injectable } from '@nestjs/common';
import { IngestPredictions } from '../app/ingest-predictions.js';
import { ParkBatch } from '../app/park-batch.js';

@Injectable()
export class OnPredictionsLogged {
  constructor(
    private readonly predictions: IngestPredictions,
    private readonly parking: ParkBatch,
  ) {}

  async handle(events: readonly Received<PredictionsLoggedData>[]): Promise<Verdict[]> {
    const outcomes = await this.predictions.ingest(events.map((received) => ({ data: received.event, cause: causeOf(received) })));
    const verdicts: Verdict[] = [];
    for (const [i, outcome] of outcomes.entries()) {
      const received = events[i]!;
      if (outcome.kind === 'refused') verdicts.push({ kind: 'dead', code: outcome.code, reason: outcome.reason });
      else if (outcome.kind === 'empty') verdicts.push({ kind: 'skipped', reason: 'no rows' });
      else {
        if (outcome.kind === 'parked') await this.parking.park(received);
        verdicts.push({ kind: 'done' });
      }
    }
    return verdicts;
  }
}
