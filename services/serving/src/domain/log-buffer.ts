import type { PredictionBatch, PredictionColumn } from '@headrace/codec/predictions-logged';
import { TextList } from '@headrace/codec/text-list';
import type { FeatureBlock } from '@headrace/executor/feature-block';
import type { LoggedJob } from './predict-job.js';

/** Columns lie this many floats further apart than their rows, lest equal rows of all columns meet in one set of the processor's cache. */
const COLUMN_GAP = 16;

interface TextColumn {
  readonly name: string;
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
  readonly #numberNames: readonly string[];
  readonly #texts: readonly TextColumn[];
  readonly #extraTexts: readonly TextColumn[];
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
    this.#model = { project, model, version };
    this.#threshold = parts.threshold;
    this.#numberNames = [...numbers, ...extraNumbers].map(({ name }) => name);
    this.#stride = capacity + COLUMN_GAP;
    this.#numbers = new Float32Array(this.#stride * this.#numberNames.length);
    const column = ({ name }: { readonly name: string }): TextColumn => ({
      name,
      texts: new TextList(3),
      missing: new Uint8Array(capacity),
    });
    this.#texts = texts.map(column);
    this.#extraTexts = extraTexts.map(column);
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
    if (job.rows === 1) this.#predictionIds.push(job.predictionId);
    else this.#predictionIds.pushNumbered(job.predictionId, from, from + rows);
    this.#appendEntities(job.entities, from, rows);
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
      columns: this.#columns(),
      entities: this.#hasEntities ? this.#entities : undefined,
      stale: this.#hasEntities ? this.#stale : undefined,
      traceIds: this.#traceIds.count > 0 ? this.#traceIds : undefined,
      account,
    };
  }

  clear(): void {
    this.rows = 0;
    this.#hasEntities = false;
    for (const list of [this.#predictionIds, this.#entities, this.#traceIds]) list.clear();
    for (const { texts } of [...this.#texts, ...this.#extraTexts]) texts.clear();
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
    for (let column = 0; column < this.#texts.length; column++) appendTexts(this.#texts[column]!, at, block.texts[column]!, firstRow, rows);
    for (let column = 0; column < this.#extraTexts.length; column++)
      appendTexts(this.#extraTexts[column]!, at, block.extraTexts[column]!, firstRow, rows);
  }

  #appendEntities(entities: readonly string[] | undefined, from: number, rows: number): void {
    if (!entities && !this.#hasEntities) return;
    this.#entities.fill('', this.rows - this.#entities.count);
    this.#hasEntities = true;
    if (entities) for (let i = from; i < from + rows; i++) this.#entities.push(entities[i]!);
    else this.#entities.fill('', rows);
  }

  #columns(): PredictionColumn[] {
    const number = (name: string, at: number): PredictionColumn => ({
      name,
      kind: 'numbers',
      values: this.#numbers,
      first: at * this.#stride,
    });
    const text = ({ name, texts, missing }: TextColumn): PredictionColumn => ({ name, kind: 'texts', values: texts, missing });
    const numbers = this.#numberNames.map(number);
    return [...numbers, ...[...this.#texts, ...this.#extraTexts].map(text)];
  }
}

function appendTexts(column: TextColumn, at: number, values: readonly string[], firstRow: number, rows: number): void {
  for (let i = 0; i < rows; i++) {
    const text = values[firstRow + i]!;
    column.texts.push(text);
    column.missing[at + i] = text === '' ? 1 : 0;
  }
}

/** W3C trace context: version-traceid-parentid-flags. */
function traceIdOf(traceparent: string): string {
  return traceparent.length >= 35 ? traceparent.slice(3, 35) : '';
}
