import { systemClock, type Clock } from '@headrace/base/clock';
import { newId } from '@headrace/base/ids';
import type { EventType } from '@headrace/events/catalog';
import { toRecord, type OutgoingRecord } from '@headrace/events/envelope';
import type { Telemetry } from '../telemetry.js';
import type { Cause } from './cause.js';
import type { EventProducer } from './client.js';
import { kafkaMetrics } from './metrics.js';
import type { TopicOwner } from './topics.js';

export interface PublisherClients {
  producer(): EventProducer;
  ensureTopics(events: readonly TopicOwner[]): Promise<void>;
}

/**
 * Sends events that do not follow from a write of ours. Facts that do go through the outbox: `enqueue(tx, publisher.records(...))`.
 */
export class EventPublisher {
  readonly #clients: PublisherClients;
  readonly #source: string;
  readonly #telemetry: Telemetry;
  readonly #clock: Clock;

  /** @param source CloudEvents `source`: the service's name as a path, `/headrace/registry` */
  constructor(clients: PublisherClients, source: string, telemetry: Telemetry, clock: Clock = systemClock) {
    this.#clients = clients;
    this.#source = source;
    this.#telemetry = telemetry;
    this.#clock = clock;
  }

  /** Resolves when all in-sync replicas have them. @throws AppError MESSAGE_TOO_LARGE, DEPENDENCY_UNAVAILABLE */
  async publish<T>(type: EventType<T>, events: readonly T[], cause?: Cause): Promise<void> {
    await this.#clients.ensureTopics([type]);
    await this.send(this.records(type, events, cause));
  }

  /** The events as records with CloudEvents headers and the trace of the cause, or of the running span. */
  records<T>(type: EventType<T>, events: readonly T[], cause?: Cause): OutgoingRecord[] {
    const timeMs = this.#clock.nowMs();
    const traceparent = this.#telemetry.currentTraceparent() || cause?.traceparent;
    return events.map((event) =>
      toRecord(type, event, {
        id: newId(timeMs),
        source: this.#source,
        timeMs,
        ...(traceparent ? { traceparent } : {}),
        ...(cause ? { correlationId: cause.correlationId, causationId: cause.causationId } : {}),
      }),
    );
  }

  /** Records that are ready, such as dead letters. */
  async send(records: readonly OutgoingRecord[]): Promise<void> {
    if (records.length === 0) return;
    await this.#clients.producer().send(records);
    const { published } = kafkaMetrics(this.#telemetry);
    for (const { topic } of records) published.inc({ topic });
  }
}
