import { AssertionFailed } from '@headrace/base/assert';
import type { BatchLane, LaneJob } from './batch-lane.js';
import type { EntityLookup } from './entity-lookup.js';
import type { ModelSession } from '@headrace/executor/model-session';
import type { ColumnSlot, InputPlan } from '@headrace/executor/input-plan';
import type { ModelStatistics } from './model-statistics.js';
import type { TensorSession } from '@headrace/executor/tensor';
import type { Place, RunWatch } from './run-watch.js';
import type { LogRules } from './log-rules.js';
import type { ScoreRuntime } from '@headrace/executor/onnx-runtime';
import { stepLoad, type LoadEvent, type LoadState } from './load-state.js';
import type { RoutedVersion } from './routing-table.js';

export interface FeatureDefault {
  readonly slot: ColumnSlot;
  readonly value: number | string;
}

/** What runs a version, in this process or in one of its own. */
export interface OpenSession extends ModelSession {
  readonly runtime: ScoreRuntime;
  readonly tensors: TensorSession;
}

/** The parts of a version that can answer; present from `standby` to `draining`. */
export interface LoadedParts<J extends LaneJob> {
  /** Replaced while it serves when its runs belong elsewhere. */
  session: ModelSession;
  /** The same graph for requests that bring tensors; replaced with the session. */
  tensors: TensorSession;
  /** Where it runs, and whether it should. */
  readonly watch: RunWatch;
  /** What computes its scores, in the one place and the other. */
  readonly runtime: ScoreRuntime;
  /** Opens the same session in the one place or the other. */
  readonly open: (place: Place) => Promise<OpenSession>;
  /** false = the version has no features: it answers tensors and nothing else. */
  readonly isPredictable: boolean;
  readonly lane: BatchLane<J>;
  readonly plan: InputPlan;
  /** A score at or above it is label 1. */
  readonly threshold: number;
  /** How the entity's features are found; undefined when the version cannot be asked by entity. */
  lookup: EntityLookup | undefined;
  readonly missingFeatures: 'null' | 'default' | 'refuse';
  /** Stand for features that are missing or past their age; empty but for `default`. */
  readonly defaults: readonly FeatureDefault[];
  /** Resident memory that it takes, as its trial measured; 0 = unknown. */
  readonly residentBytes?: number;
}

/**
 * One version in this process: its state by the table of load-state.ts, and how many requests hold it. A request pins the
 * version that it was routed to and unpins it with its answer, so a version that was replaced ends only after its last one.
 */
export class LoadedModel<J extends LaneJob> implements RoutedVersion {
  state: LoadState = 'pending';
  failure = '';
  /** How its rows are logged, now; undefined = as they are. */
  logRules: LogRules | undefined;
  loadedAtMs = 0;
  pins = 0;
  #parts: LoadedParts<J> | undefined;
  #onDrained: (() => void) | undefined;

  constructor(
    readonly project: string,
    readonly model: string,
    readonly version: number,
    readonly artifactSha256: string,
    readonly statistics: ModelStatistics,
  ) {}

  get parts(): LoadedParts<J> {
    // Asked several times for each request: the text of an `assert` would be made each time.
    if (this.#parts === undefined) throw new AssertionFailed(`${this.model}/${this.version} has no session while ${this.state}`);
    return this.#parts;
  }

  step(event: LoadEvent): void {
    this.state = stepLoad(this.state, event);
  }

  stand(parts: LoadedParts<J>): void {
    this.step('verified');
    this.#parts = parts;
  }

  fail(reason: string): void {
    this.step('failed');
    this.failure = reason;
    this.#drop();
  }

  pin(): void {
    this.pins++;
  }

  unpin(): void {
    this.pins--;
    if (this.pins === 0 && this.state === 'draining') this.#end();
  }

  /** No request is routed here any more; the session goes with the last pin. `onDrained` is called once. */
  retire(onDrained: () => void): void {
    this.step('retired');
    this.#onDrained = onDrained;
    if (this.state === 'unloaded') onDrained();
    else if (this.pins === 0) this.#end();
  }

  /** The process ends: the session goes, whatever the state. */
  abandon(): void {
    this.#drop();
  }

  #end(): void {
    this.step('drained');
    this.#drop();
    this.#onDrained?.();
  }

  #drop(): void {
    this.#parts?.session.release();
    this.#parts = undefined;
  }
}
