import { messageOf } from '@headrace/base/errors';
import { newId } from '@headrace/base/ids';
import { encodePredictionsLogged, type PredictionBatch } from '@headrace/codec/predictions-logged';
import { ProtoWriter } from '@headrace/codec/writer';
import { predictionsLogged, type EventType } from '@headrace/events/catalog';
import { toRecord, type OutgoingRecord } from '@headrace/events/envelope';
import type { EventProducer } from '@headrace/platform/kafka/client';
import type { Log } from '@headrace/platform/log';
import { LogBuffer } from '../domain/log-buffer.js';
import type { LoggedJob, ServedModel } from '../domain/predict-job.js';
import type { FeatureBlock } from '@headrace/executor/feature-block';
import { LogAccount } from '../domain/log-account.js';
import { SharedBuffers } from './shared-buffers.js';

export interface PredictionLogOptions {
  readonly instance: string;
  /** Longest time that a row waits before its batch is sent, ms. */
  readonly flushMs: number;
  readonly batchRows: number;
  /** Rows that may wait for Kafka; what comes beyond is dropped and counted. */
  readonly pendingRowsMax: number;
  /** Share of requests that are logged, of models that say nothing else. */
  readonly sampleRate: number;
  /** Longest wait of `close` for Kafka, ms. */
  readonly closeMs: number;
}

/** Bytes of one message at the most, as a guess from the width of the model; Kafka's own limit is 1 MB. */
const MESSAGE_BYTES = 512 * 1024;
/** Bytes of a row beside its features: id, time, score, label, entity, trace. */
const ROW_BYTES = 120;
const TOKEN_BYTES = 24;
const IDLE_FLUSHES_MAX = 50;
/** Batches in one send. */
const SEND_BATCHES_MAX = 16;
/** With so many a send begins before the timer says so. Each one wakes two processes: sent one by one they made the p99 of a busy server a third longer (measured). */
const SEND_FROM_BATCHES = 8;
const RETRY_MS = { first: 200, longest: 2_000 };

/** The hot encoder in the place of the generated one; topic, key and headers stay those of the catalogue. */
const hotPredictionsLogged: EventType<PredictionBatch> = {
  ...(predictionsLogged as unknown as EventType<PredictionBatch>),
  message: {
    encode: (batch) => {
      encodePredictionsLogged(batch, writer.reset());
      return { finish: () => values.copyOf(writer.bytes, writer.pos) };
    },
    decode: notUsed,
    fromJSON: notUsed,
    toJSON: notUsed,
  },
};
const writer = new ProtoWriter(64 * 1024);
/** Of messages until Kafka has them; the producer's thread reads them there. */
const values = new SharedBuffers();

/**
 * The prediction log, off the request path: `append` copies rows into a buffer, a timer or a full buffer makes a message of it,
 * and one sender brings messages to Kafka. Bounded, and exactly accounted (see LogAccount). An outage of Kafka keeps messages until
 * the bound, then drops new ones; requests never wait.
 */
export class PredictionLog {
  readonly account = new LogAccount();
  readonly #options: PredictionLogOptions;
  readonly #producer: () => EventProducer;
  readonly #log: Pick<Log, 'warn' | 'info'>;
  /** Of each version the arms that answered. */
  readonly #buffers = new Map<ServedModel, LogBuffer[]>();
  /** Of the row before. */
  #last: { readonly model: ServedModel; readonly buffer: LogBuffer } | undefined;
  readonly #queue: { readonly record: OutgoingRecord; readonly rows: number }[] = [];
  readonly #timer: NodeJS.Timeout;
  #queuedRows = 0;
  #sending: Promise<void> | undefined;
  readonly #closing = new AbortController();
  #isDown = false;

  constructor(options: PredictionLogOptions, producer: () => EventProducer, log: Pick<Log, 'warn' | 'info'>) {
    this.#options = options;
    this.#producer = producer;
    this.#log = log;
    this.#timer = setInterval(() => this.flush(), options.flushMs).unref();
  }

  /** Rows in memory, in buffers and messages. */
  get pendingRows(): number {
    return this.account.pending;
  }

  /** @param nowMs when it was answered, ms since the epoch. */
  append(job: LoggedJob, block: FeatureBlock, firstRow: number, scores: Float32Array, firstScore: number, nowMs: number): void {
    this.account.answer(job.rows);
    // By chance, not by turns: periodic traffic would meet the turns and be logged one-sidedly.
    const sampleRate = job.loaded.logRules?.sampleRate ?? this.#options.sampleRate;
    if (sampleRate < 1 && Math.random() >= sampleRate) return this.account.sampleOut(job.rows);
    const buffer = this.#bufferOf(job);
    for (let from = 0; from < job.rows;) {
      from += buffer.append(job, block, firstRow, scores, firstScore, from, nowMs);
      if (buffer.rows === buffer.capacity) this.#seal(buffer);
    }
  }

  /** Makes messages of all rows that wait, and sends. */
  flush(): void {
    for (const [model, buffers] of this.#buffers) {
      for (const buffer of buffers) {
        if (buffer.rows > 0) this.#seal(buffer);
        else buffer.idleFlushes++;
      }
      // A version that no longer answers gives its memory back.
      const busy = buffers.filter(({ idleFlushes }) => idleFlushes <= IDLE_FLUSHES_MAX);
      if (busy.length === 0) this.#buffers.delete(model);
      else if (busy.length < buffers.length) this.#buffers.set(model, busy);
    }
    this.#last = undefined;
    this.#send();
  }

  /** Sends what is there, for a bounded time; what is left then is counted as dropped. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.flush();
    const timer = setTimeout(() => this.#closing.abort(), this.#options.closeMs);
    while (this.#sending) await this.#sending;
    clearTimeout(timer);
    for (const { rows } of this.#queue.splice(0)) this.#drop(rows);
    const { answered, logged, sampledOut, dropped } = this.account;
    this.#log.info('prediction log closed', { answered, logged, sampledOut, dropped });
  }

  #bufferOf(job: LoggedJob): LogBuffer {
    const { loaded, arm } = job;
    const last = this.#last;
    if (last && last.model === loaded && last.buffer.arm === arm && last.buffer.rules === loaded.logRules) return last.buffer;
    const buffer = this.#lookUp(job);
    this.#last = { model: loaded, buffer };
    return buffer;
  }

  #lookUp(job: LoggedJob): LogBuffer {
    const { loaded, arm } = job;
    const buffers = this.#buffers.get(loaded);
    let at = 0;
    while (buffers && at < buffers.length && buffers[at]!.arm !== arm) at++;
    const found = buffers?.[at];
    if (found && found.rules === loaded.logRules) return found;
    // A row is logged by the rules of the moment of its answer.
    if (found && found.rows > 0) this.#seal(found);
    const rowBytes = ROW_BYTES + 4 * loaded.parts.plan.byName.size + TOKEN_BYTES * (loaded.logRules?.redacted.size ?? 0);
    const capacity = Math.max(1, Math.min(this.#options.batchRows, Math.floor(MESSAGE_BYTES / rowBytes)));
    const buffer = new LogBuffer(job, capacity);
    if (!buffers) this.#buffers.set(loaded, [buffer]);
    else if (found) buffers[at] = buffer;
    else buffers.push(buffer);
    return buffer;
  }

  #seal(buffer: LogBuffer): void {
    const { rows } = buffer;
    if (this.#queuedRows + rows > this.#options.pendingRowsMax) {
      buffer.clear();
      this.account.drop(rows);
      if (!this.#isDown)
        this.#log.warn('prediction log is full; rows are dropped until Kafka takes them again', { pendingRows: this.#queuedRows });
      this.#isDown = true;
      return;
    }
    const { answered, logged, sampledOut, dropped } = this.account;
    // As it will stand when this message and those before it have arrived.
    const batch = buffer.toBatch(this.#options.instance, { answered, logged: logged + this.#queuedRows + rows, sampledOut, dropped });
    const timeMs = Date.now();
    const record = toRecord(hotPredictionsLogged, batch, { id: newId(timeMs), source: '/headrace/serving', timeMs });
    buffer.clear();
    this.#queue.push({ record, rows });
    this.#queuedRows += rows;
    if (this.#queue.length >= SEND_FROM_BATCHES) this.#send();
  }

  #send(): void {
    if (this.#sending || this.#queue.length === 0) return;
    this.#sending = this.#sendAll().finally(() => {
      this.#sending = undefined;
    });
  }

  async #sendAll(): Promise<void> {
    let delayMs = RETRY_MS.first;
    while (this.#queue.length > 0 && !this.#closing.signal.aborted) {
      const batches = this.#queue.slice(0, SEND_BATCHES_MAX);
      const rows = batches.reduce((sum, batch) => sum + batch.rows, 0);
      try {
        await this.#orClosing(this.#producer().send(batches.map((batch) => batch.record)));
        for (const { record } of this.#queue.splice(0, batches.length)) values.giveBack(record.value);
        this.#queuedRows -= rows;
        this.account.log(rows);
        this.#isDown = false;
        delayMs = RETRY_MS.first;
      } catch (error) {
        if (isTooLarge(error) && batches.length >= 1) this.#dropLargest(messageOf(error));
        else await this.#wait(delayMs, error);
        delayMs = Math.min(delayMs * 2, RETRY_MS.longest);
      }
    }
  }

  /** Nothing was sent: one message is beyond the broker's limit, and would be for ever. */
  #dropLargest(reason: string): void {
    const sizes = this.#queue.slice(0, SEND_BATCHES_MAX).map((batch) => batch.record.value.length);
    const [largest] = this.#queue.splice(sizes.indexOf(Math.max(...sizes)), 1);
    this.#log.warn('a message of the prediction log is too large and was dropped', { rows: largest!.rows, reason });
    this.#drop(largest!.rows);
  }

  async #wait(delayMs: number, error: unknown): Promise<void> {
    if (!this.#isDown && !this.#closing.signal.aborted)
      this.#log.warn('prediction log cannot be sent; it waits in memory', { error: messageOf(error), pendingRows: this.#queuedRows });
    this.#isDown = true;
    await this.#orClosing(new Promise((resolve) => setTimeout(resolve, delayMs).unref())).catch(() => undefined);
  }

  #drop(rows: number): void {
    this.#queuedRows -= rows;
    this.account.drop(rows);
  }

  /** Rejects when the process cannot wait longer; a send that was under way may still arrive, and is counted as dropped. */
  #orClosing<T>(work: Promise<T>): Promise<T> {
    const { signal } = this.#closing;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => reject(new Error('the process is closing'));
      if (signal.aborted) return onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
    });
  }
}

function isTooLarge(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'MESSAGE_TOO_LARGE';
}

function notUsed(): never {
  throw new Error('the prediction log is only written here');
}
