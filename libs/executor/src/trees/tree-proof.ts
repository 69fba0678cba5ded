import { seededRandom } from '@headrace/base/random';
import { Tensor } from 'onnxruntime-node';
import { setImmediate } from 'node:timers/promises';
import type { OnnxSession } from '../onnx-runtime.js';
import { NoTrees } from './refused.js';
import type { LabelRule } from './tree-graph.js';
import type { Feeds, TreeWalk } from './tree-walk.js';

/** The runtime's logistic function stays within this of the exact one (measured: 1.2e-7). */
const LINK_TOLERANCE = 1e-6;
const PROOF_ROWS = 256;
/** Of the runs, in turn: rows that walk together, and one by one. */
const RUN_ROWS = [8, 1, 8, 3, 12];

/**
 * Lets both answer the same rows, a few at a time, and the event loop go on between.
 * @returns the label's output, if its labels agree, too
 * @throws NoTrees when the walk scores rows near the thresholds otherwise than ONNX Runtime
 */
export async function proveEqual(session: OnnxSession, walk: TreeWalk, output: string): Promise<string | undefined> {
  const { label } = walk.graph;
  const asked = [output, ...(label ? [label.output] : [])];
  const makeRows = proofRows(walk);
  let areLabelsEqual = label !== undefined;
  for (let run = 0, done = 0; done < PROOF_ROWS; run++) {
    const rows = RUN_ROWS[run % RUN_ROWS.length]!;
    const feeds = makeRows(rows);
    const oracle = await session.runAll(feeds, asked);
    const answers = walk.runAll(feeds, asked, output)!;
    compareScores(oracle[output]!.data as Float32Array, answers[output]!.data as Float32Array, walk, rows);
    areLabelsEqual &&= compareLabels(label!, oracle, answers, output);
    done += rows;
    await setImmediate();
  }
  return areLabelsEqual ? label?.output : undefined;
}

function compareScores(expected: Float32Array, got: Float32Array, { graph }: TreeWalk, rows: number): void {
  const tolerance = graph.link === 'logistic' ? LINK_TOLERANCE : 0;
  if (got.length !== expected.length) throw new NoTrees(`it answers ${expected.length / rows} columns instead of ${graph.width}`);
  for (const [i, score] of got.entries()) {
    // Not `>`: a NaN agrees with nothing but itself.
    if (Object.is(score, expected[i]) || Math.abs(score - expected[i]!) <= tolerance) continue;
    throw new NoTrees(`ONNX Runtime answers ${expected[i]} where the walk over its trees gives ${score}`);
  }
}

function compareLabels({ output, of, threshold }: LabelRule, oracle: Feeds, answers: Feeds, scoresOutput: string): boolean {
  const [want, got, scores] = [oracle[output]!, answers[output]!.data as BigInt64Array, answers[scoresOutput]!.data as Float32Array];
  const width = scores.length / got.length;
  // Where the two scores may stand on either side of the threshold, so may the labels.
  const isAtThreshold = (row: number): boolean =>
    of === 'score' && Math.abs(scores[row * width + width - 1]! - threshold) <= LINK_TOLERANCE;
  return want.dims.length === 1 && (want.data as BigInt64Array).every((one, row) => one === got[row] || isAtThreshold(row));
}

/** Values at, just below and just above thresholds, any between, and gaps; words of the encoders and others. From a seed: equal for equal models. */
function proofRows({ ensemble, graph }: TreeWalk): (rows: number) => Record<string, Tensor> {
  const random = seededRandom(ensemble.values.length);
  const thresholds: number[][] = Array.from({ length: ensemble.columns }, () => []);
  for (const [node, feature] of ensemble.features.entries())
    if (feature < ensemble.columns) thresholds[feature]!.push(ensemble.values[node]!);
  const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)]!;
  const number = (column: number): number => {
    const known = thresholds[column]!;
    const near = known.length > 0 ? pick(known) : random();
    return random() < 0.05 ? Number.NaN : pick([near, nextFloat(near, 1), nextFloat(near, -1), near + (random() - 0.5) * near]);
  };
  const { dense } = graph;
  const texts = graph.texts.map(({ input, codes }) => ({ input, words: [...codes.keys(), '', 'no such word'] }));
  return (rows) => {
    const feeds: Record<string, Tensor> = {};
    if (dense) {
      const numbers = Float32Array.from({ length: rows * dense.width }, (_, i) => number(dense.at + (i % dense.width)));
      feeds[dense.input] = new Tensor('float32', numbers, [rows, dense.width]);
    }
    for (const { input, words } of texts)
      feeds[input] = new Tensor(
        'string',
        Array.from({ length: rows }, () => pick(words)),
        [rows, 1],
      );
    return feeds;
  };
}

const floats = new Float32Array(1);
const bits = new Int32Array(floats.buffer);

/** The neighbour of a float32. @param direction 1 = away from zero, -1 = towards it */
function nextFloat(value: number, direction: 1 | -1): number {
  floats[0] = value;
  if (value !== 0 && Number.isFinite(value)) bits[0]! += direction;
  return floats[0];
}
