import type {
  GetQuarantinedRowRequest,
  ListQuarantineRequest,
  ListQuarantineResponse,
  QuarantineDefinition,
  QuarantinedRow,
  ReplayQuarantineRequest,
  ReplayQuarantineResponse,
} from '@headrace/contracts/features/v1/quarantine';
import type { CallContext, Implementation } from '@headrace/platform/grpc/server';
import { Injectable } from '@nestjs/common';
import { ReviewQuarantine } from '../app/quarantine-rows.js';
import type { KeptRow } from '../domain/quarantined-row.js';
import { requestInvalid } from '../errors.js';
import { projectOf } from './fields.js';

const LISTED_DEFAULT = 100;
export const LISTED_MAX = 1_000;
export const REPLAYED_MAX = 10_000;

/** The gRPC door of the quarantine. */
@Injectable()
export class QuarantineRpc implements Implementation<typeof QuarantineDefinition> {
  constructor(private readonly quarantine: ReviewQuarantine) {}

  async listQuarantine({ project: name, view, before, limit }: ListQuarantineRequest): Promise<ListQuarantineResponse> {
    if (limit > LISTED_MAX)
      throw requestInvalid(`\`limit\` is ${limit}; at most ${LISTED_MAX} rows are listed, so ask for pages with \`before\``);
    const project = projectOf(name);
    const rows = await this.quarantine.list(project, view, before, limit || LISTED_DEFAULT);
    return { counts: await this.quarantine.counts(project), rows: rows.map(toRow) };
  }

  async getQuarantinedRow({ project, id }: GetQuarantinedRowRequest): Promise<QuarantinedRow> {
    return toRow(await this.quarantine.find(projectOf(project), id));
  }

  replayQuarantine({ project, view, ids }: ReplayQuarantineRequest, call: CallContext): Promise<ReplayQuarantineResponse> {
    if (ids.length > REPLAYED_MAX)
      throw requestInvalid(`${ids.length} ids; at most ${REPLAYED_MAX} are replayed at once, or all with none`);
    return this.quarantine.replay(projectOf(project), view, ids, call.signal);
  }
}

function toRow({ id, view, origin, position, code, feature = '', reason, content, arrivedUs, quarantinedAtMs }: KeptRow): QuarantinedRow {
  return {
    ...{ id, view, origin, position, code, feature, reason },
    row: JSON.parse(content) as unknown,
    arrivedAt: new Date(Math.floor(arrivedUs / 1000)),
    quarantinedAt: new Date(quarantinedAtMs),
  };
}
