import type { FeatureBlock } from './feature-block.js';

/** What answers rows: scores of the positive class, one per row, valid until the next run. */
export interface ModelSession {
  /** Answers at once, or by a promise where the runtime cannot do it synchronously. */
  run(block: FeatureBlock, firstRow: number, rows: number): Float32Array | Promise<Float32Array>;
  release(): void;
}
