import { newId } from '@headrace/base/ids';
import type { RegistryDefinition } from '@headrace/contracts/registry/v1/registry';
import type { Client } from '@headrace/platform/grpc/client';
import type { Cause } from '@headrace/platform/kafka/cause';
import type { Postgres, Tx } from '@headrace/platform/postgres/postgres';
import { admit, mitigationFault, type Mitigation, type Reason } from '../domain/admission.js';
import { queueFull, requestInvalid } from '../errors.js';
import { countWaiting, insertRun, lastAlertRun, lockModelQueue, readRunByRequest, type RunRow } from '../io/runs.js';
import { readDefinition } from '../io/registry.js';
import type { Telemetry } from '../telemetry.js';
import type { RunSteps } from './run-steps.js';

export interface RunRequest {
  readonly project: string;
  readonly model: string;
  readonly reason: Reason;
  readonly requestId: string;
  readonly alertId: string;
  readonly mitigation: { readonly method: string; readonly attribute: string } | undefined;
  readonly cause: Cause;
}

/** `known`: a run of this request was there before. `cooling`: the retrain policy takes no alert before `untilMs`. */
export type RequestOutcome =
  { readonly kind: 'queued' | 'known'; readonly run: RunRow } | { readonly kind: 'cooling'; readonly untilMs: number };

/** The one way in for a run, whoever asks: a person, a schedule, an alert, an event from outside. */
export class RequestRun {
  constructor(
    private readonly postgres: Postgres,
    private readonly steps: RunSteps,
    private readonly telemetry: Telemetry,
    private readonly registry: Client<typeof RegistryDefinition>,
    private readonly queueMax: number,
  ) {}

  /** @throws AppError MODEL_UNKNOWN | REQUEST_INVALID | OVERLOADED | DEPENDENCY_UNAVAILABLE */
  async request(request: RunRequest): Promise<RequestOutcome> {
    const known = await readRunByRequest(this.postgres, request.project, request.requestId);
    if (known) return { kind: 'known', run: sameModel(known, request.model) };
    const { definition } = await readDefinition(this.registry, request.project, request.model, { traceparent: request.cause.traceparent });
    const mitigation = checkedMitigation(request, (m) => mitigationFault(m, definition.spec));
    const outcome = await this.postgres.transaction((tx) => this.#queue(tx, request, mitigation, definition.spec.retrain.cooldown));
    this.telemetry.requested(request, outcome.kind, outcome.kind === 'cooling' ? undefined : outcome.run.run_id);
    return outcome;
  }

  async #queue(tx: Tx, request: RunRequest, mitigation: Mitigation | undefined, cooldownMs: number): Promise<RequestOutcome> {
    const { project, model, reason, requestId, alertId, cause } = request;
    await lockModelQueue(tx, project, model);
    const known = await readRunByRequest(tx, project, requestId);
    if (known) return { kind: 'known', run: sameModel(known, model) };
    const { lastMs, nowMs } = await lastAlertRun(tx, project, model);
    const admission = admit(reason, cooldownMs, lastMs, nowMs);
    if (admission.kind === 'cooling') return admission;
    const waiting = await countWaiting(tx, project);
    if (waiting >= this.queueMax) throw queueFull(project, waiting);
    const run = await insertRun(tx, { project, runId: newId(), model, reason, requestId, alertId, mitigation, ...cause });
    // Another model's request may have taken the id between the look and the insert.
    if (!run) return { kind: 'known', run: sameModel((await readRunByRequest(tx, project, requestId))!, model) };
    await this.steps.announce(tx, run);
    return { kind: 'queued', run };
  }
}

function checkedMitigation(
  { mitigation }: RunRequest,
  faultOf: (m: { method: string; attribute: string }) => string | undefined,
): Mitigation | undefined {
  if (!mitigation || mitigation.method === '' || mitigation.method === 'none') return undefined;
  const fault = faultOf(mitigation);
  if (fault) throw requestInvalid('mitigation', fault);
  return mitigation as Mitigation;
}

function sameModel(run: RunRow, model: string): RunRow {
  if (run.model !== model)
    throw requestInvalid(
      'request_id',
      `${run.request_id} already started run ${run.run_id} of ${run.model}, so it cannot start one of ${model}`,
    );
  return run;
}
