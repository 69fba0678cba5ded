import type { FeatureBlock } from './feature-block.js';

/** What answers rows: probabilities of the positive class or values of a regression, one per row, valid until the next run. */
export interface ModelSession {
  /** Answers at once, or by a promise where the runtime cannot do it synchronously. */
  run(block: FeatureBlock, firstRow: number, rows: number): Float32Array | Promise<Float32Array>;
  /** Runs that are under way fail where they are in another process. */
  release(): void;
  /** As `release`, after the runs that are under way; none begins after it. */
  retire(): void;
}
