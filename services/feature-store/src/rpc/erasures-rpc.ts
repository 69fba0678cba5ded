import type {
  EraseEntityRequest,
  Erasure as ErasureMessage,
  ErasuresDefinition,
  GetErasureRequest,
  ListErasuresRequest,
  ListErasuresResponse,
} from '@headrace/contracts/features/v1/erasures';
import { featureRowsPublished, predictionsLogged } from '@headrace/events/catalog';
import type { CallContext } from '@headrace/platform/grpc/definition';
import type { Implementation } from '@headrace/platform/grpc/server';
import { Injectable } from '@nestjs/common';
import { EraseEntity } from '../app/erase-entity.js';
import type { Erasure } from '../domain/erasure.js';
import { requestInvalid } from '../errors.js';
import { projectOf } from './fields.js';

const TEXT_MAX = 500;

/** The gRPC door of erasures. */
@Injectable()
export class ErasuresRpc implements Implementation<typeof ErasuresDefinition> {
  constructor(private readonly erasures: EraseEntity) {}

  eraseEntity(request: EraseEntityRequest, call: CallContext): Promise<ErasureMessage> {
    return this.erase(request, call.principal.name);
  }

  async erase({ project, entity, keys, reason, requestId }: EraseEntityRequest, askedBy: string): Promise<ErasureMessage> {
    if (reason.length > TEXT_MAX || requestId.length > TEXT_MAX)
      throw requestInvalid(`reason and request id have at most ${TEXT_MAX} characters`);
    return toMessage(await this.erasures.erase({ project: projectOf(project), entity, keys, reason, requestId, askedBy }));
  }

  async getErasure({ project, id }: GetErasureRequest): Promise<ErasureMessage> {
    return toMessage(await this.erasures.find(projectOf(project), id));
  }

  async listErasures({ project }: ListErasuresRequest): Promise<ListErasuresResponse> {
    return { erasures: (await this.erasures.list(projectOf(project))).map(toMessage) };
  }
}

function toMessage({ untilMs, finishedAt, views, snapshots, ...erasure }: Erasure): ErasureMessage {
  return {
    ...erasure,
    views: [...views],
    until: new Date(untilMs),
    finishedAt: finishedAt ?? undefined,
    snapshots: snapshots.map(({ hash, builtAt, views: of }) => ({ trainingSet: hash, builtAt: new Date(builtAt), views: [...of] })),
    remaining: remaining(snapshots.length),
  };
}

function remaining(snapshots: number): string[] {
  return [
    ...(snapshots > 0
      ? [
          `${snapshots} training sets were made from these views: delete the files that hold the entity, and train models of them anew where the law asks for it`,
        ]
      : []),
    `${featureRowsPublished.topic}, its dead letters and ${predictionsLogged.topic} keep what was published for as long as Kafka is told to`,
    'entity frames that were uploaded for joins are removed a day after their last join',
    'Postgres overwrites deleted rows after a VACUUM; backups and archives of its log keep them for as long as you keep those',
  ];
}
