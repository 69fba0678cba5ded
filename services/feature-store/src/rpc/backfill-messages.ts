import { NAME_PATTERN } from '@headrace/base/ids';
import { BackfillState, type Backfill, type StartBackfillRequest } from '@headrace/contracts/features/v1/features';
import type { RequestBackfill } from '../app/request-backfill.js';
import { describeSource, type Backfill as Job, type BackfillSource } from '../domain/backfill.js';
import { requestInvalid } from '../errors.js';
import { projectOf } from './fields.js';
import { destinationOf } from './messages.js';

const STATES: Readonly<Record<Job['state'], BackfillState>> = {
  queued: BackfillState.QUEUED,
  running: BackfillState.RUNNING,
  succeeded: BackfillState.SUCCEEDED,
  failed: BackfillState.FAILED,
  cancelled: BackfillState.CANCELLED,
};

export function toBackfillMessage(job: Job): Backfill {
  return {
    id: job.id,
    view: job.view,
    state: STATES[job.state],
    source: describeSource(job.source),
    rowsDone: job.position.rows,
    rowsTotal: job.rowsTotal,
    rowsRefused: job.rowsRefused,
    reason: job.reason,
    requestedAt: new Date(job.requestedAtMs),
    finishedAt: job.finishedAtMs === undefined ? undefined : new Date(job.finishedAtMs),
  };
}

/** @throws AppError REQUEST_INVALID */
export function toBackfillRequest(request: StartBackfillRequest): Parameters<RequestBackfill['start']>[0] {
  const { project, view, source, to, rowsPerSecond, eventTimeColumn, requestId } = request;
  const column = eventTimeColumn || 'event_time';
  if (!NAME_PATTERN.test(column)) throw requestInvalid(`\`event_time_column\` must match ${NAME_PATTERN.source}`);
  return {
    project: projectOf(project),
    view,
    source: sourceOf(source),
    to: destinationOf(to),
    rowsPerSecond: Math.min(rowsPerSecond, ROWS_PER_SECOND_MAX),
    eventTimeColumn: column,
    requestId,
  };
}

/** Beyond it a limit limits nothing. */
const ROWS_PER_SECOND_MAX = 1_000_000;

function sourceOf(source: StartBackfillRequest['source']): BackfillSource {
  if (source?.$case === 'file') return { kind: 'file', path: source.value.path };
  if (source?.$case === 'postgres') return { kind: 'postgres', source: source.value.source, query: source.value.query };
  throw requestInvalid('`file` or `postgres` is missing; say where the rows come from');
}
