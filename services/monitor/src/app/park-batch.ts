import type { PredictionsLoggedData } from '@headrace/codec/predictions-logged';
import type { Received } from '@headrace/platform/kafka/subscription';
import { Postgres } from '@headrace/platform/postgres/postgres';
import { Injectable } from '@nestjs/common';
import { park } from '../io/parked-batches.js';
import { Surroundings } from './surroundings.js';

/** Keeps a log batch whole, in Postgres, until its version can be described; Kafka moves on. Parking twice changes nothing. */
@Injectable()
export class ParkBatch {
  constructor(
    private readonly postgres: Postgres,
    private readonly around: Surroundings,
  ) {}

  park(received: Received<PredictionsLoggedData>): Promise<void> {
    const { project, model, version } = received.event;
    return park(this.postgres, { ...received, project, model, version, eventId: received.id }, this.around.clock.nowMs());
  }
}
