import type { PredictionBatch, PredictionColumn } from '@headrace/codec/predictions-logged';
import { FeatureBlock } from '@headrace/executor/feature-block';
import type { LogRules } from './log-rules.js';
import type { LoggedJob } from './predict-job.js';
import { RedactedRows } from './redacted-rows.js';

/**
 * Rows of one version and arm on their way to the log, in memory that is reused: filled by copying what the model saw, read once
 * by the codec. Texts that no row has (entities, traces) are not sent.
 */
export class LogBuffer {
  rows = 0;
  /** Flushes in a row that found it empty. */
  idleFlushes = 0;
  readonly #block: FeatureBlock;
  readonly #predictionIds: string[];
  readonly #entities: string[];
  readonly #traceIds: string[];
  readonly #predictedAtMs: Float64Array;
  readonly #scores: Float32Array;
  readonly #labels: Uint8Array;
  readonly #stale: Uint8Array;
  /** Of all its rows; under other rules another buffer begins. */
  readonly rules: LogRules | undefined;
  readonly #redacted: RedactedRows;
  readonly #columns: readonly PredictionColumn[];
  #hasEntities = false;
  #hasTraces = false;
  readonly #project: string;
  readonly #model: string;
  readonly #version: number;
  readonly #arm: string;
  readonly #threshold: number;

  constructor(
    job: LoggedJob,
    readonly capacity: number,
  ) {
    const { project, model, version, parts } = job.loaded;
    [this.#project, this.#model, this.#version, this.#arm, this.#threshold] = [project, model, version, job.arm, parts.threshold];
    this.#block = new FeatureBlock(parts.plan, capacity);
    this.rules = job.loaded.logRules;
    this.#redacted = new RedactedRows(this.rules, this.#block, capacity);
    this.#columns = columnsOf(this.#block).filter(({ name }) => !this.#redacted.has(name));
    this.#predictionIds = new Array<string>(capacity).fill('');
    this.#entities = new Array<string>(capacity).fill('');
    this.#traceIds = new Array<string>(capacity).fill('');
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
    const rows = Math.min(job.rows - from, this.capacity - this.rows);
    const traceId = traceIdOf(job.replies.headerOf(job.reply, 'traceparent'));
    this.#block.copyFrom(block, firstRow + from, this.rows, rows);
    for (let i = 0; i < rows; i++) {
      const at = this.rows + i;
      const score = scores[firstScore + from + i]!;
      this.#predictionIds[at] = job.rows === 1 ? job.predictionId : `${job.predictionId}/${from + i}`;
      this.#entities[at] = job.entities ? job.entities[from + i]! : '';
      this.#traceIds[at] = traceId;
      this.#predictedAtMs[at] = nowMs;
      this.#scores[at] = score;
      this.#labels[at] = score >= this.#threshold ? 1 : 0;
      this.#stale[at] = job.stale ? job.stale[from + i]! : 0;
    }
    if (this.rules) this.#redacted.take(this.#block, this.#entities, this.rows, rows);
    this.#hasEntities ||= job.entities !== undefined;
    this.#hasTraces ||= traceId !== '';
    this.rows += rows;
    this.idleFlushes = 0;
    return rows;
  }

  toBatch(instance: string, account: PredictionBatch['account']): PredictionBatch {
    return {
      project: this.#project,
      model: this.#model,
      version: this.#version,
      arm: this.#arm,
      instance,
      rows: this.rows,
      predictionIds: this.#predictionIds,
      predictedAtMs: this.#predictedAtMs,
      scores: this.#scores,
      labels: this.#labels,
      columns: this.#columns,
      entities: this.#hasEntities && this.#redacted.entityRedaction !== 'omit' ? this.#entities : undefined,
      stale: this.#hasEntities ? this.#stale : undefined,
      traceIds: this.#hasTraces ? this.#traceIds : undefined,
      account,
      redacted: this.#redacted.columns,
      entityRedaction: this.#redacted.entityRedaction,
    };
  }

  clear(): void {
    this.rows = 0;
    this.#hasEntities = this.#hasTraces = false;
  }
}

function columnsOf(block: FeatureBlock): PredictionColumn[] {
  const { numbers, texts, extraNumbers, extraTexts } = block.plan;
  return [
    ...numbers.map((slot) => ({ name: slot.name, kind: 'numbers' as const, values: block.numbers, first: slot.at, stride: block.width })),
    ...texts.map((slot) => ({ name: slot.name, kind: 'texts' as const, values: block.texts[slot.at]! })),
    ...extraNumbers.map((slot) => ({
      name: slot.name,
      kind: 'numbers' as const,
      values: block.extraNumbers,
      first: slot.at,
      stride: block.extraWidth,
    })),
    ...extraTexts.map((slot) => ({ name: slot.name, kind: 'texts' as const, values: block.extraTexts[slot.at]! })),
  ];
}

/** W3C trace context: version-traceid-parentid-flags. */
function traceIdOf(traceparent: string): string {
  return traceparent.length >= 35 ? traceparent.slice(3, 35) : '';
}
