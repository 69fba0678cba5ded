import { toAppError } from '@headrace/base/errors';
import { Log } from '@headrace/platform/log';
import { Telemetry as PlatformTelemetry } from '@headrace/platform/telemetry';
import { Injectable } from '@nestjs/common';
import type { RunRow } from './io/runs.js';

/** Business facts of training: each one counter and one log line. */
@Injectable()
export class Telemetry {
  readonly #requests;
  readonly #attempts;

  constructor(
    private readonly platform: PlatformTelemetry,
    private readonly log: Log,
  ) {
    this.#requests = platform.counter({
      name: 'headrace_trainer_requests_total',
      help: 'Requests for a run by what became of them',
      labels: ['reason', 'outcome'],
    });
    this.#attempts = platform.counter({
      name: 'headrace_trainer_attempts_total',
      help: 'Attempts at runs by outcome',
      labels: ['outcome'],
    });
  }

  /** @param outcome queued | known | cooling */
  requested(
    request: { model: string; reason: string; requestId: string; alertId: string },
    outcome: string,
    runId: string | undefined,
  ): void {
    const { model, reason, requestId, alertId } = request;
    this.#requests.inc({ reason, outcome });
    this.log.info('run requested', { model, reason, requestId, alertId, outcome, ...(runId ? { runId } : {}) });
  }

  attemptStarted({ run_id: runId, model, attempt, reason }: RunRow): void {
    this.log.info('attempt started', { runId, model, attempt, reason });
  }

  attemptSucceeded({ run_id: runId, model, attempt }: RunRow, version: number): void {
    this.#attempts.inc({ outcome: 'succeeded' });
    this.log.info('run succeeded', { runId, model, attempt, version });
  }

  attemptFailed({ run_id: runId, model, attempt }: RunRow, error: unknown, again: boolean): void {
    const { code } = toAppError(error);
    this.#attempts.inc({ outcome: again ? 'repeated' : 'failed' });
    this.log.warn(again ? 'attempt failed and will be repeated' : 'run failed', { runId, model, attempt, code, error });
  }

  attemptLost({ run_id: runId, model, attempt, state, failure }: RunRow): void {
    this.#attempts.inc({ outcome: 'lost' });
    this.log.warn('attempt lost', { runId, model, attempt, state, failure });
  }

  traced<T>({ run_id: runId, model, traceparent }: RunRow, work: () => Promise<T>): Promise<T> {
    return this.platform.span('training run', { 'headrace.run_id': runId, 'headrace.model': model }, work, traceparent);
  }
}
