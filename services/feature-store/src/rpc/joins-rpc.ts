import type {
  Join,
  JoinReference,
  ListJoinsRequest,
  ListJoinsResponse,
  PointInTimeJoinsDefinition,
  StartJoinRequest,
} from '@headrace/contracts/features/v1/joins';
import { JoinState, Knowledge } from '@headrace/contracts/features/v1/joins';
import type { Implementation } from '@headrace/platform/grpc/server';
import { Injectable } from '@nestjs/common';
import { DEFAULT_TIME_COLUMN, FrameJoins, type FrameSource } from '../app/frame-joins.js';
import type { Knowledge as Known } from '../domain/point-in-time-probe.js';
import { requestInvalid } from '../errors.js';
import type { JoinRecord } from '../domain/join-state.js';
import { instantOf, projectOf } from './fields.js';

/** The gRPC door of point-in-time joins. */
@Injectable()
export class JoinsRpc implements Implementation<typeof PointInTimeJoinsDefinition> {
  constructor(private readonly joins: FrameJoins) {}

  async startJoin(request: StartJoinRequest): Promise<Join> {
    const { project, features, timeColumn } = request;
    const asked = { features, timeColumn: timeColumn || DEFAULT_TIME_COLUMN, knowledge: knowledgeOf(request) };
    return toJoin(await this.joins.start(projectOf(project), sourceOf(request), asked));
  }

  async getJoin({ project, joinId }: JoinReference): Promise<Join> {
    return toJoin(await this.joins.find(projectOf(project), joinId));
  }

  async listJoins({ project }: ListJoinsRequest): Promise<ListJoinsResponse> {
    return { joins: (await this.joins.list(projectOf(project))).map(toJoin) };
  }

  async cancelJoin({ project, joinId }: JoinReference): Promise<Join> {
    return toJoin(await this.joins.cancel(projectOf(project), joinId));
  }

  async restartJoin({ project, joinId }: JoinReference): Promise<Join> {
    return toJoin(await this.joins.restart(projectOf(project), joinId));
  }
}

function sourceOf({ source }: StartJoinRequest): FrameSource {
  if (source?.$case === 'frame') return { kind: 'frame', name: source.value };
  if (source?.$case === 'file') return { kind: 'file', path: source.value };
  if (source?.$case === 'rows') return { kind: 'rows', rows: source.value.rows };
  throw requestInvalid('a join needs an entity frame: give `frame`, `file` or `rows`');
}

function knowledgeOf({ knowledge, asOf }: StartJoinRequest): Known {
  if (knowledge === Knowledge.AS_OF) return { kind: 'asOf', ms: instantOf('as_of', asOf) };
  if (asOf) throw requestInvalid('`as_of` is only for KNOWLEDGE_AS_OF');
  return { kind: knowledge === Knowledge.ROW_TIME ? 'rowTime' : 'all' };
}

const STATES: Readonly<Record<JoinRecord['state'], JoinState>> = {
  queued: JoinState.QUEUED,
  running: JoinState.RUNNING,
  succeeded: JoinState.SUCCEEDED,
  failed: JoinState.FAILED,
  cancelled: JoinState.CANCELLED,
};

function toJoin({ id, state, request: _request, frame: _frame, finishedAt, ...rest }: JoinRecord): Join {
  // A null of Postgres is no date.
  return { joinId: id, state: STATES[state], ...rest, finishedAt: finishedAt ?? undefined };
}
