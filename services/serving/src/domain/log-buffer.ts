import type { PredictionBatch, PredictionColumn } from '@headrace/codec/predictions-logged';
import { TextList } from '@headrace/codec/text-list';
import type { FeatureBlock } from '@headrace/executor/feature-block';
import type { ColumnSlot, InputPlan } from '@headrace/executor/input-plan';
import type { LogRules } from './log-rules.js';
import type { LoggedJob } from './predict-job.js';
import { RedactedRows } from './redacted-rows.js';

/** Columns lie this many floats further apart than their rows, lest equal rows of all columns meet in one set of the processor's cache. */
const COLUMN_GAP = 16;

interface TextColumn {
  readonly slot: ColumnSlot;
  readonly texts: TextList;
  readonly missing: Uint8Array;
}

/**
 * Rows of one version and arm on their way to the log, in memory that is reused: collected in the form of the message, column by
 * column, so that making the message is a few copies. Texts that no row has (entities, traces) are not sent.
 */
export class LogBuffer {
  rows = 0;
  /** Flushes in a row that found it empty. */
  idleFlushes = 0;
  readonly arm: string;
  readonly #model: Pick<PredictionBatch, 'project' | 'model' | 'version'>;
  readonly #threshold: number;
  readonly #stride: number;
  /** One after the other: first those that the model sees, then the extras. */
  readonly #numbers: Float32Array;
  /** Those that are logged as they are. */
  readonly #texts: readonly TextColumn[];
  readonly #columns: readonly PredictionColumn[];
  /** Of all its rows; under other rules another buffer begins. */
  readonly rules: LogRules | undefined;
  readonly #redacted: RedactedRows;
  readonly #predictionIds = new TextList(5);
  readonly #entities = new TextList(10);
  readonly #traceIds = new TextList(14);
  readonly #predictedAtMs: Float64Array;
  readonly #scores: Float32Array;
  readonly #labels: Uint8Array;
  readonly #stale: Uint8Array;
  #hasEntities = false;

  constructor(
    { loaded, arm }: LoggedJob,
    readonly capacity: number,
  ) {
    const { project, model, version, parts } = loaded;
    const { numbers, texts, extraNumbers, extraTexts } = parts.plan;
    this.arm = arm;
    this.rules = loaded.logRules;
    this.#redacted = new RedactedRows(this.rules, parts.plan);
    this.#model = { project, model, version };
    this.#threshold = parts.threshold;
    this.#stride = capacity + COLUMN_GAP;
    this.#numbers = new Float32Array(this.#stride * (numbers.length + extraNumbers.length));
    this.#texts = [...texts, ...extraTexts]
      .filter(({ name }) => !this.#redacted.has(name))
      .map((slot) => ({ slot, texts: new TextList(3), missing: new Uint8Array(capacity) }));
    this.#columns = this.#columnsOf(parts.plan);
    this.#predictedAtMs = new Float64Array(capacity);
    this.#scores = new Float32Array(capacity);
    this.#labels = new Uint8Array(capacity);
    this.#stale = new Uint8Array(capacity);
  }

  /** Takes as many of the job's rows, from `from` on, as there is room for, and returns how many. */
  append(
    job: LoggedJob,
    block: FeatureBlock,
    firstRow: number,
    scores: Float32Array,
    firstScore: number,
    from: number,
    nowMs: number,
  ): number {
    const start = this.rows;
    const rows = Math.min(job.rows - from, this.capacity - start);
    this.#copyFeatures(block, firstRow + from, rows);
    for (let i = 0; i < rows; i++) {
      const at = start + i;
      const score = scores[firstScore + from + i]!;
      this.#predictedAtMs[at] = nowMs;
      this.#scores[at] = score;
      this.#labels[at] = score >= this.#threshold ? 1 : 0;
      this.#stale[at] = job.stale ? job.stale[from + i]! : 0;
    }
    if (job.rows === 1) this.#predictionIds.pushText(job.predictionId);
    else this.#predictionIds.pushNumbered(job.predictionId, from, from + rows);
    this.#appendEntities(job.entities, from, rows);
    if (this.rules) this.#redacted.take(block, firstRow + from, rows);
    const traceId = traceIdOf(job.replies.headerOf(job.reply, 'traceparent'));
    // The rows before the first that has one get theirs when it comes.
    if (traceId !== '' || this.#traceIds.count > 0) {
      this.#traceIds.fill('', start - this.#traceIds.count);
      this.#traceIds.fill(traceId, rows);
    }
    this.rows += rows;
    this.idleFlushes = 0;
    return rows;
  }

  toBatch(instance: string, account: PredictionBatch['account']): PredictionBatch {
    return {
      ...this.#model,
      arm: this.arm,
      instance,
      rows: this.rows,
      predictionIds: this.#predictionIds,
      predictedAtMs: this.#predictedAtMs,
      scores: this.#scores,
      labels: this.#labels,
      columns: this.#columns,
      entities: this.#hasEntities && this.#redacted.entityRedaction !== 'omit' ? this.#entities : undefined,
      stale: this.#hasEntities ? this.#stale : undefined,
      traceIds: this.#traceIds.count > 0 ? this.#traceIds : undefined,
      account,
      redacted: this.#redacted.columns,
      entityRedaction: this.#redacted.entityRedaction,
    };
  }

  clear(): void {
    this.rows = 0;
    this.#hasEntities = false;
    for (const list of [this.#predictionIds, this.#entities, this.#traceIds]) list.clear();
    for (const { texts } of this.#texts) texts.clear();
    this.#redacted.clear();
  }

  #copyFeatures(block: FeatureBlock, firstRow: number, rows: number): void {
    const at = this.rows;
    const numbers = this.#numbers;
    const stride = this.#stride;
    const { width, extraWidth } = block;
    for (let i = 0; i < rows; i++) {
      const row = (firstRow + i) * width;
      for (let column = 0, to = at + i; column < width; column++, to += stride) numbers[to] = block.numbers[row + column]!;
    }
    if (extraWidth > 0) {
      for (let i = 0; i < rows; i++) {
        const row = (firstRow + i) * extraWidth;
        for (let column = 0, to = width * stride + at + i; column < extraWidth; column++, to += stride)
          numbers[to] = block.extraNumbers[row + column]!;
      }
    }
    for (const { slot, texts, missing } of this.#texts) {
      const values = (slot.kind === 'text' ? block.texts : block.extraTexts)[slot.at]!;
      for (let i = 0; i < rows; i++) {
        const text = values[firstRow + i]!;
        texts.push(text);
        missing[at + i] = text === '' ? 1 : 0;
      }
    }
  }

  #appendEntities(entities: readonly string[] | undefined, from: number, rows: number): void {
    if (!entities && !this.#hasEntities) return;
    this.#entities.fill('', this.rows - this.#entities.count);
    this.#hasEntities = true;
    if (entities) for (let i = from; i < from + rows; i++) this.#entities.push(this.#redacted.entityOf(entities[i]!));
    else this.#entities.fill('', rows);
  }

  /** The values of redacted numbers stand in the buffer and in no message. */
  #columnsOf({ numbers, extraNumbers }: InputPlan): PredictionColumn[] {
    const logged = [...numbers, ...extraNumbers]
      .map(({ name }, at) => ({ name, kind: 'numbers' as const, values: this.#numbers, first: at * this.#stride }))
      .filter(({ name }) => !this.#redacted.has(name));
    const texts = this.#texts.map(({ slot, texts: values, missing }) => ({ name: slot.name, kind: 'texts' as const, values, missing }));
    return [...logged, ...texts];
  }
}

/** W3C trace context: version-traceid-parentid-flags. */
function traceIdOf(traceparent: string): string {
  return traceparent.length >= 35 ? traceparent.slice(3, 35) : '';
}
