import { sleep } from '@headrace/base/clock';
import { AppError, messageOf } from '@headrace/base/errors';
import { fromRecord, type OutgoingRecord } from '@headrace/events/envelope';
import type { Log } from '../log.js';
import type { Telemetry } from '../telemetry.js';
import type { PartitionBatch, RawRecord } from './client.js';
import { DEAD, REPLAY_FOR, toDeadLetter, toQuarantine } from './dead-letter.js';
import { backoffMs, deliver, DeliveryStopped, OUTAGE_DELAY_MAX_MS, type DeliveryHooks, type FinalVerdict } from './deliver.js';
import { kafkaMetrics, type KafkaMetrics } from './metrics.js';
import type { EventPublisher } from './publisher.js';
import type { BatchContext, Received, ReceivedRecord, Subscription } from './subscription.js';

export interface BatchHandlerParts {
  readonly publisher: Pick<EventPublisher, 'send'>;
  readonly telemetry: Telemetry;
  readonly log: Pick<Log, 'warn'>;
  /** Ends waits between tries: the process stops. */
  readonly stopping: AbortSignal;
  /** Ends handlers that did not finish in time. */
  readonly abort: AbortSignal;
}

/** Waits notice within this time that their partition is being taken away. */
const REVOKED_CHECK_MS = 200;

/** What one subscription does with the batches of its partitions. Offsets are committed after handler and dead letters are done. */
export class BatchHandler {
  readonly #subscription: Subscription;
  readonly #parts: BatchHandlerParts;
  readonly #metrics: KafkaMetrics;

  constructor(subscription: Subscription, parts: BatchHandlerParts) {
    this.#subscription = subscription;
    this.#parts = parts;
    this.#metrics = kafkaMetrics(parts.telemetry);
  }

  async onBatch(batch: PartitionBatch): Promise<void> {
    const { batchMax } = this.#subscription;
    try {
      for (let begin = 0; begin < batch.records.length; begin += batchMax) {
        if (batch.isRevoked() || this.#parts.stopping.aborted) return;
        const records = batch.records.slice(begin, begin + batchMax);
        await this.#handle(batch, records);
        await batch.commit((BigInt(records.at(-1)!.offset) + 1n).toString());
      }
    } catch (error) {
      if (!(error instanceof DeliveryStopped)) throw error;
    }
  }

  async #handle(batch: PartitionBatch, records: readonly RawRecord[]): Promise<void> {
    const { group, retry } = this.#subscription;
    const letters: OutgoingRecord[] = [];
    const events: Received<unknown>[] = [];
    for (const raw of records) {
      const replayFor = raw.headers[REPLAY_FOR];
      if (replayFor !== undefined && replayFor !== group) {
        this.#count('skipped');
        continue;
      }
      const record = toReceivedRecord(batch, raw);
      const event = this.#decode(record, raw);
      if (event instanceof AppError) {
        this.#count('dead');
        letters.push(toDeadLetter(record, event.code, event.message, group));
      } else events.push(event);
    }

    const hooks = this.#hooks(batch);
    const verdicts = await deliver(events, (part, context) => this.#call(part, context), retry, hooks);
    for (const [index, verdict] of verdicts.entries()) {
      this.#count(verdict.kind);
      letters.push(...lettersOf(events[index]!, verdict, group));
    }
    if (letters.length > 0) await this.#bury(letters, hooks);
    this.#metrics.blocked.set(this.#labels, 0);
  }

  #decode(record: ReceivedRecord, raw: RawRecord): Received<unknown> | AppError {
    const { type } = this.#subscription;
    if (raw.value === null) return new AppError('EVENT_MALFORMED', `${record.topic}: the event has no body`);
    try {
      const envelope = fromRecord(type, raw.value, raw.headers, `${record.topic}/${record.partition}/${record.offset}`);
      const timeMs = Number.isNaN(envelope.timeMs) ? record.timestampMs : envelope.timeMs;
      return { ...envelope, timeMs, ...record };
    } catch (error) {
      return error instanceof AppError ? error : new AppError('EVENT_MALFORMED', messageOf(error), { cause: error });
    }
  }

  /** One call of the handler, timed, inside a span that continues the first event's trace. */
  #call(events: readonly Received<unknown>[], context: BatchContext): ReturnType<Subscription['handle']> {
    const end = this.#metrics.batchSeconds.startTimer(this.#labels);
    const attributes = {
      'messaging.system': 'kafka',
      'messaging.destination.name': context.topic,
      'messaging.consumer.group.name': context.group,
      'messaging.batch.message_count': events.length,
    };
    return this.#parts.telemetry
      .span(`handle ${context.topic}`, attributes, async () => this.#subscription.handle(events, context), events[0]?.traceparent)
      .finally(end);
  }

  /** Without its dead letters a batch must not be committed, so a broker that is away is waited for. */
  async #bury(letters: readonly OutgoingRecord[], hooks: DeliveryHooks): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#parts.publisher.send(letters);
        break;
      } catch (error) {
        const delayMs = backoffMs(attempt, { ...this.#subscription.retry, maxDelayMs: OUTAGE_DELAY_MAX_MS });
        hooks.onOutage(`dead letters cannot be sent: ${messageOf(error)}`, delayMs);
        await hooks.wait(delayMs);
      }
    }
    for (const { topic, headers } of letters) {
      this.#parts.log.warn('event dead-lettered', {
        topic,
        group: headers[DEAD.group],
        code: headers[DEAD.code],
        reason: headers[DEAD.reason],
        partition: headers[DEAD.partition],
        offset: headers[DEAD.offset],
        traceId: headers[DEAD.traceId],
      });
    }
  }

  #hooks(batch: PartitionBatch): DeliveryHooks {
    const { type, group } = this.#subscription;
    const where = { topic: type.topic, group, partition: batch.partition };
    return {
      context: { ...where, signal: this.#parts.abort },
      wait: (delayMs) => this.#wait(delayMs, batch),
      onRetry: (events, reason, delayMs) => {
        this.#count('retried', events);
        this.#parts.log.warn('handler failed; trying again', { ...where, events, reason, delayMs: Math.round(delayMs) });
      },
      onOutage: (reason, delayMs) => {
        this.#metrics.blocked.set(this.#labels, 1);
        this.#parts.log.warn('a dependency is away; the partition waits', { ...where, reason, delayMs: Math.round(delayMs) });
      },
    };
  }

  async #wait(delayMs: number, batch: PartitionBatch): Promise<void> {
    for (let restMs = delayMs; restMs > 0; restMs -= REVOKED_CHECK_MS) {
      if (batch.isRevoked()) throw new DeliveryStopped('the partition is being taken away');
      await sleep(Math.min(restMs, REVOKED_CHECK_MS), this.#parts.stopping).catch(() => {
        throw new DeliveryStopped('the process stops');
      });
    }
  }

  get #labels(): { topic: string; group: string } {
    return { topic: this.#subscription.type.topic, group: this.#subscription.group };
  }

  #count(outcome: string, events = 1): void {
    this.#metrics.handled.inc({ ...this.#labels, outcome }, events);
  }
}

function toReceivedRecord({ topic, partition }: PartitionBatch, raw: RawRecord): ReceivedRecord {
  return {
    topic,
    partition,
    offset: raw.offset,
    key: raw.key ? Buffer.from(raw.key.buffer, raw.key.byteOffset, raw.key.byteLength).toString('utf8') : '',
    rawValue: raw.value ?? new Uint8Array(),
    rawHeaders: raw.headers,
    timestampMs: raw.timestampMs,
  };
}

function lettersOf(event: Received<unknown>, verdict: FinalVerdict, group: string): OutgoingRecord[] {
  const parts = (verdict.quarantine ?? []).map((part, index) => toQuarantine(event, part, index, event.id, group));
  return verdict.kind === 'dead' ? [toDeadLetter(event, verdict.code, verdict.reason, group), ...parts] : parts;
}
