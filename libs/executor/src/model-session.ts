import type { FeatureBlock } from './feature-block.js';

/** What answers rows: probabilities of the positive class or values of a regression, one per row, valid until the next run. */
export interface ModelSession {
  /** Answers at once, or by a promise where the runtime cannot do it synchronously. */
  run(block: FeatureBlock, firstRow: number, rows: number): Float32Array | Promise<Float32Array>;
  release(): void;
}
