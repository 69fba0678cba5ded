import { AppError } from '@headrace/base/errors';
import { ShortBytes } from '@headrace/codec/short-bytes';
import { decodePredictionsLogged } from '@headrace/codec/predictions-logged';
import type { OutgoingRecord } from '@headrace/events/envelope';
import { describe, expect, it } from 'vitest';
import { BatchLane } from '../domain/batch-lane.js';
import { FeatureBlock } from '@headrace/executor/feature-block';
import { compileInputPlan } from '@headrace/executor/input-plan';
import { ModelStatistics } from '../domain/model-statistics.js';
import { LoadedModel } from '../domain/loaded-model.js';
import { RunWatch } from '../domain/run-watch.js';
import { PredictJob, type PredictReplies } from '../domain/predict-job.js';
import { PredictionLog, type PredictionLogOptions } from './prediction-log.js';

const plan = compileInputPlan([{ name: 'a', reference: 'v:a', type: 'float64' }], []);
const block = new FeatureBlock(plan, 100);
const scores = new Float32Array(100).fill(0.7);
const silent = { warn: () => undefined, info: () => undefined };
const replies: PredictReplies = {
  ok: () => undefined,
  fail: () => undefined,
  isGone: () => false,
  flush: () => undefined,
  headerOf: () => '',
};

const model = new LoadedModel<PredictJob>('default', 'm', 1, '', new ModelStatistics('default', 'm', 1));
model.step('start');
model.stand({
  session: { run: () => scores, release: () => undefined, retire: () => undefined },
  watch: new RunWatch('here', 2, () => 0),
  runtime: { name: 'onnxruntime', reason: '' },
  open: () => Promise.reject(new Error('not asked')),
  tensors: { inputs: [], outputs: [], isRowWise: false, run: () => [] },
  isPredictable: true,
  lane: new BatchLane(plan, 4),
  plan,
  threshold: 0.5,
  lookup: undefined,
  missingFeatures: 'null',
  defaults: [],
});

function job(id: string, rows: number): PredictJob {
  model.logRules = undefined;
  return Object.assign(new PredictJob(), { loaded: model, rows, predictionId: ShortBytes.ofText(id), replies });
}

/** Kafka that can be down. */
class Broker {
  isDown = false;
  readonly records: OutgoingRecord[] = [];
  sends = 0;

  async send(records: readonly OutgoingRecord[]): Promise<void> {
    this.sends++;
    if (this.isDown) throw new AppError('DEPENDENCY_UNAVAILABLE', 'down');
    const large = records.some((record) => record.value.length > 100_000);
    if (large) throw new AppError('MESSAGE_TOO_LARGE', 'too large');
    // What is sent is read now; its memory is used again.
    this.records.push(...records.map((record) => ({ ...record, value: Uint8Array.from(record.value) })));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  get ids(): string[] {
    return this.records.flatMap((record) => decodePredictionsLogged(record.value).predictionIds);
  }
}

function open(broker: Broker, more: Partial<PredictionLogOptions> = {}): PredictionLog {
  return new PredictionLog(
    { instance: 'i', flushMs: 10_000, batchRows: 10, pendingRowsMax: 50, sampleRate: 1, closeMs: 100, ...more },
    () => broker,
    silent,
  );
}

describe('prediction log', () => {
  it('cuts batches by size, names rows of a batch by their index, and accounts for each', async () => {
    const broker = new Broker();
    const log = open(broker);
    log.append(job('big', 25), block, 0, scores, 0, 1_000);
    log.append(job('one', 1), block, 0, scores, 0, 1_000);
    await log.close();
    expect(broker.records.map((record) => decodePredictionsLogged(record.value).predictionIds.length)).toEqual([10, 10, 6]);
    expect(broker.ids).toEqual([...Array.from({ length: 25 }, (_, i) => `big/${i}`), 'one']);
    expect(log.account).toMatchObject({ answered: 26, logged: 26, dropped: 0, pending: 0 });
    expect(decodePredictionsLogged(broker.records.at(-1)!.value).account).toEqual({ answered: 26, logged: 26, sampledOut: 0, dropped: 0 });
  });

  it('begins a new message when the rules of redaction change, so that a row follows those of its answer', async () => {
    const broker = new Broker();
    const log = open(broker);
    const asked = job('r', 1);
    const rules = { sampleRate: undefined, redacted: new Map([['a', { kind: 'omit' as const }]]), entity: undefined };
    for (const [i, now] of [undefined, undefined, rules, undefined].entries()) {
      asked.predictionId.setText(`r${i}`);
      asked.loaded.logRules = now;
      log.append(asked, block, 0, scores, 0, 1_000);
    }
    await log.close();
    const messages = broker.records.map((record) => decodePredictionsLogged(record.value));
    expect(messages.map((message) => message.predictionIds)).toEqual([['r0', 'r1'], ['r2'], ['r3']]);
    expect(messages.map((message) => message.columns.map(({ name }) => name))).toEqual([['a'], [], ['a']]);
    expect(messages.map((message) => message.redacted)).toEqual([[], [{ name: 'a', redaction: 'omit', tokens: [] }], []]);
    expect(log.account).toMatchObject({ answered: 4, logged: 4, dropped: 0, pending: 0 });
  });

  it("takes a model's own rate before that of the process", async () => {
    const broker = new Broker();
    const log = open(broker, { sampleRate: 0 });
    const asked = job('r', 1);
    log.append(asked, block, 0, scores, 0, 1_000);
    asked.loaded.logRules = { sampleRate: 1, redacted: new Map(), entity: undefined };
    log.append(asked, block, 0, scores, 0, 1_000);
    await log.close();
    expect(log.account).toMatchObject({ answered: 2, logged: 1, sampledOut: 1, dropped: 0, pending: 0 });
  });

  it('keeps rows through an outage up to its bound, drops what comes beyond, and sends the rest when Kafka is back', async () => {
    const broker = new Broker();
    broker.isDown = true;
    const log = open(broker, { closeMs: 5_000 });
    for (let i = 0; i < 80; i++) log.append(job(`r${i}`, 1), block, 0, scores, 0, 1_000);
    expect(log.account).toMatchObject({ answered: 80, dropped: 30, pending: 50 });
    await new Promise((resolve) => setTimeout(resolve, 50));
    broker.isDown = false;
    await log.close();
    expect(broker.ids).toEqual(Array.from({ length: 50 }, (_, i) => `r${i}`));
    expect(log.account).toMatchObject({ answered: 80, logged: 50, dropped: 30, pending: 0 });
  });

  it('closes in bounded time while Kafka is down, and counts what it could not send', async () => {
    const broker = new Broker();
    broker.isDown = true;
    const log = open(broker);
    for (let i = 0; i < 15; i++) log.append(job(`r${i}`, 1), block, 0, scores, 0, 1_000);
    const startedAt = performance.now();
    await log.close();
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    expect(log.account).toMatchObject({ answered: 15, logged: 0, dropped: 15, pending: 0 });
  });

  it('drops the one message that Kafka finds too large, and sends its neighbours', async () => {
    const broker = new Broker();
    const log = open(broker);
    log.append(job('before', 10), block, 0, scores, 0, 1_000);
    log.append(job('x'.repeat(200_000), 1), block, 0, scores, 0, 1_000);
    log.flush();
    log.append(job('after', 10), block, 0, scores, 0, 1_000);
    await log.close();
    expect(broker.ids).toHaveLength(20);
    expect(log.account).toMatchObject({ answered: 21, logged: 20, dropped: 1, pending: 0 });
  });
});
