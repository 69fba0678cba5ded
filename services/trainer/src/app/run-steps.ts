import { trainingRunChanged } from '@headrace/events/catalog';
import { EventPublisher } from '@headrace/platform/kafka/publisher';
import { enqueue } from '@headrace/platform/postgres/outbox';
import type { Tx } from '@headrace/platform/postgres/postgres';
import { Injectable } from '@nestjs/common';
import { nextRunState, type RunEvent } from '../domain/run-state.js';
import { illegalStep } from '../errors.js';
import { updateRun, type RunChange, type RunRow } from '../io/runs.js';
import { toRun } from './run-message.js';

/** Every change of a run's state goes through here: the table decides, and the event leaves with the change. */
@Injectable()
export class RunSteps {
  constructor(private readonly publisher: EventPublisher) {}

  /** @param row locked by the caller's transaction. @throws AppError RUN_STATE_ILLEGAL */
  async step(tx: Tx, row: RunRow, event: RunEvent, change: Omit<RunChange, 'state'> = {}): Promise<RunRow> {
    const state = nextRunState(row.state, event);
    if (state === 'illegal') throw illegalStep(row.run_id, row.state, event);
    const next = await updateRun(tx, row, { ...change, state });
    await this.announce(tx, next);
    return next;
  }

  async announce(tx: Tx, row: RunRow): Promise<void> {
    const cause = { traceparent: row.traceparent, correlationId: row.correlation_id, causationId: row.causation_id };
    await enqueue(tx, this.publisher.records(trainingRunChanged, [{ run: toRun(row) }], cause));
  }
}
