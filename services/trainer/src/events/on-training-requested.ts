import { AppError, ERROR_CODES, messageOf } from '@headrace/base/errors';
import type { TrainingRequested } from '@headrace/contracts/events/v1/events';
import type { Received, Verdict } from '@headrace/platform/kafka/runner';
import { Injectable } from '@nestjs/common';
import { RequestRun, type RequestOutcome } from '../app/request-run.js';
import { idOf, nameOf, projectOf, reasonOf } from '../domain/request-fields.js';

/** Queues a run and no more: training never happens inside a handler. */
@Injectable()
export class OnTrainingRequested {
  constructor(private readonly requests: RequestRun) {}

  async handle(batch: readonly Received<TrainingRequested>[]): Promise<Verdict[]> {
    const verdicts: Verdict[] = [];
    for (const received of batch) verdicts.push(await this.#one(received));
    return verdicts;
  }

  /** Redelivery finds the run of the first delivery by its request id; an event without one is known by its own id. */
  async #one(received: Received<TrainingRequested>): Promise<Verdict> {
    const { event, id, correlationId, traceparent } = received;
    try {
      const outcome = await this.requests.request({
        project: projectOf(event.project),
        model: nameOf('model', event.model),
        reason: reasonOf(event.reason || 'event'),
        requestId: idOf('request_id', event.requestId || id),
        alertId: idOf('alert_id', event.alertId),
        mitigation: event.mitigation,
        cause: { traceparent, correlationId, causationId: id },
      });
      return verdictOf(outcome);
    } catch (error) {
      if (error instanceof AppError && isSendersFault(error)) return { kind: 'dead', code: error.code, reason: error.message };
      // A registry or a database that is away is nobody's fault: the runner waits and tries again.
      throw error instanceof AppError ? error : new Error(`run for event ${id}: ${messageOf(error)}`, { cause: error });
    }
  }
}

function verdictOf(outcome: RequestOutcome): Verdict {
  switch (outcome.kind) {
    case 'queued':
      return { kind: 'done' };
    case 'known':
      return { kind: 'skipped', reason: `the request has run ${outcome.run.run_id} already` };
    case 'cooling':
      return { kind: 'skipped', reason: `the retrain policy takes no run for an alert before ${new Date(outcome.untilMs).toISOString()}` };
  }
}

function isSendersFault({ code }: AppError): boolean {
  const { kind } = ERROR_CODES[code];
  return kind === 'INVALID_ARGUMENT' || kind === 'NOT_FOUND';
}
