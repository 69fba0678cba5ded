import type { ModelChanged } from '@headrace/contracts/events/v1/events';
import { modelChanged } from '@headrace/events/catalog';
import type { Cause } from '@headrace/platform/kafka/cause';
import { EventPublisher } from '@headrace/platform/kafka/publisher';
import { enqueue } from '@headrace/platform/postgres/outbox';
import type { Tx } from '@headrace/platform/postgres/postgres';
import { Injectable } from '@nestjs/common';

/** Facts about models leave by the outbox, in the transaction that makes them true. */
@Injectable()
export class Announcer {
  constructor(private readonly publisher: EventPublisher) {}

  async announce(
    tx: Tx,
    at: { project: string; model: string; version: number },
    changes: readonly NonNullable<ModelChanged['change']>[],
    cause?: Cause,
  ): Promise<void> {
    const events = changes.map((change): ModelChanged => ({ project: at.project, model: at.model, version: at.version, change }));
    await enqueue(tx, this.publisher.records(modelChanged, events, cause));
  }
}
