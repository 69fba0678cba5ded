import type {
  Backfill,
  BackfillsDefinition,
  CancelBackfillRequest,
  GetBackfillRequest,
  ListBackfillsRequest,
  ListBackfillsResponse,
  StartBackfillRequest,
} from '@headrace/contracts/features/v1/features';
import type { Implementation } from '@headrace/platform/grpc/server';
import { Injectable } from '@nestjs/common';
import { RequestBackfill } from '../app/request-backfill.js';
import { toBackfillMessage, toBackfillRequest } from './backfill-messages.js';
import { projectOf } from './fields.js';

/** The gRPC door of backfills. */
@Injectable()
export class BackfillsRpc implements Implementation<typeof BackfillsDefinition> {
  constructor(private readonly backfills: RequestBackfill) {}

  async startBackfill(request: StartBackfillRequest): Promise<Backfill> {
    return toBackfillMessage(await this.backfills.start(toBackfillRequest(request)));
  }

  async getBackfill({ project, id }: GetBackfillRequest): Promise<Backfill> {
    return toBackfillMessage(await this.backfills.find(projectOf(project), id));
  }

  async listBackfills({ project }: ListBackfillsRequest): Promise<ListBackfillsResponse> {
    return { backfills: (await this.backfills.list(projectOf(project))).map(toBackfillMessage) };
  }

  async cancelBackfill({ project, id }: CancelBackfillRequest): Promise<Backfill> {
    return toBackfillMessage(await this.backfills.cancel(projectOf(project), id));
  }
}
