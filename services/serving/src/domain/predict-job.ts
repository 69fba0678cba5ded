import type { AppError } from '@headrace/base/errors';
import { ShortBytes } from '@headrace/codec/short-bytes';
import type { ProtoWriter } from '@headrace/codec/writer';
import type { LaneJob } from './batch-lane.js';
import type { FeatureBlock } from '@headrace/executor/feature-block';
import type { ColumnSlot } from '@headrace/executor/input-plan';
import type { Tensor } from '@headrace/executor/tensor';
import type { LoadedModel } from './loaded-model.js';
import type { ShadowPair } from './shadow-pair.js';

/**
 * Where an answer goes. One object for a whole transport; `reply` names the call. Each request is answered exactly once, by `ok`
 * or `fail`. The form is that of the hot handler of libs/wire, so that its transport needs only a few lines to stand here.
 */
export interface PredictReplies {
  /** `encode` writes the answer straight to where it leaves from; it is called before the return. One function for all calls, and `value` what it needs. */
  ok<T>(reply: number, encode: (value: T, writer: ProtoWriter) => void, value: T): void;
  fail(reply: number, error: AppError): void;
  /** The caller has gone; work for it would be waste. */
  isGone(reply: number): boolean;
  /** What was answered so far leaves now, where it would wait for the end of the turn. */
  flush(): void;
  /** A header (or gRPC metadata) of a call that has no answer yet, by its name in lower case; '' = none. */
  headerOf(reply: number, name: string): string;
}

/** Values that a request gives for one column; they win over what is looked up. */
export interface ColumnValues {
  readonly slot: ColumnSlot;
  readonly numbers: ArrayLike<number> | undefined;
  readonly texts: readonly string[] | undefined;
}

/** One request on its way through; taken from a pool, so that the hot path makes no object for a request of dense rows. */
export class PredictJob implements LaneJob {
  replies!: PredictReplies;
  reply = 0;
  /** ms since the epoch; Infinity = none. */
  deadlineMs = Infinity;
  /** performance.now() when it came. */
  startedAtMs = 0;
  loaded!: LoadedModel<PredictJob>;
  /** Why this version answers: see PredictResponse.arm. */
  arm = 'champion';
  /** With the job of a shadow: the comparison that both take part in. */
  pair: ShadowPair | undefined;
  isShadow = false;
  rows = 0;
  firstRow = 0;
  readonly predictionId = new ShortBytes();
  /** Rows of its own: requests by columns or entities, and those too large for a lane. */
  block: FeatureBlock | undefined;
  dense: Float32Array | undefined;
  columns: readonly ColumnValues[] = [];
  entities: readonly string[] | undefined;
  featureTimes: Float64Array | undefined;
  stale: Uint8Array | undefined;
  /** Scores so far of a request that runs in slices. */
  scores: Float32Array | undefined;
  rowsDone = 0;
  /** Further outputs of the graph that the request asked for. */
  outputs: readonly string[] = NO_NAMES;
  /** What its runs gave of them so far. */
  slices: (readonly Tensor[])[] = [];

  /** Drops what only this request held, so that the pool keeps no memory alive. */
  reset(): void {
    this.replies = undefined as unknown as PredictReplies;
    this.loaded = undefined as unknown as LoadedModel<PredictJob>;
    this.block = this.dense = this.entities = this.featureTimes = this.stale = this.scores = undefined;
    this.columns = NO_COLUMNS;
    if (this.outputs.length > 0) this.slices = [];
    this.outputs = NO_NAMES;
    this.pair = undefined;
    this.isShadow = false;
    this.predictionId.clear();
    this.rowsDone = 0;
  }
}

/** What the prediction log asks of an answered request, whichever door it came by. */
export type LoggedJob = Pick<PredictJob, 'loaded' | 'arm' | 'rows' | 'predictionId' | 'entities' | 'stale' | 'reply'> & {
  readonly replies: Pick<PredictReplies, 'headerOf'>;
};

const NO_COLUMNS: readonly ColumnValues[] = [];
const NO_NAMES: readonly string[] = [];

export type ServedModel = LoadedModel<PredictJob>;
