import { AppError } from '@headrace/base/errors';
import { setImmediate } from 'node:timers/promises';
import { byOnnxRuntime, type OnnxSession } from '../onnx-runtime.js';
import { readEnsemble } from './ensemble.js';
import { NoTrees } from './refused.js';
import { readTreeGraph } from './tree-graph.js';
import { proveEqual } from './tree-proof.js';
import { TreeWalk } from './tree-walk.js';

/**
 * A session whose scores and labels come from our own walk over its trees where its graph is one that we know, and from ONNX Runtime where it is not, or where
 * a caller asks for other outputs, too. Leaves and sums are those of ONNX Runtime bit for bit; its logistic function is an approximation, so that probabilities
 * differ from its by less than LINK_TOLERANCE. Both have answered the same rows, made from the thresholds themselves, before the first request.
 * @param output the graph's output that carries the scores
 */
export async function openTrees(session: OnnxSession, bytes: Uint8Array, output: string): Promise<OnnxSession> {
  let walk: TreeWalk;
  let label: string | undefined;
  try {
    walk = await openWalk(session, bytes, output);
    label = await proveEqual(session, walk, output);
  } catch (error) {
    // Numbers that no reader here takes, and memory that is not there, are not the file's fault: ONNX Runtime has opened it.
    if (error instanceof NoTrees || error instanceof AppError || error instanceof RangeError)
      return { ...session, runtime: byOnnxRuntime(error.message) };
    throw error;
  }
  return {
    ...session,
    runtime: { name: 'trees', reason: '' },
    run: (feeds, asked) => (asked === output ? walk.run(feeds) : undefined) ?? session.run(feeds, asked),
    runAll: (feeds, asked) =>
      (asked.every((name) => name === output || name === label) ? walk.runAll(feeds, asked, output) : undefined) ??
      session.runAll(feeds, asked),
  };
}

/** The event loop goes on between its steps: a large model takes longer to read than a caller should wait. */
async function openWalk(session: OnnxSession, bytes: Uint8Array, output: string): Promise<TreeWalk> {
  const others = session.outputs.flatMap(({ name, type }) => (name !== output && type === 'int64' ? [name] : []));
  await setImmediate();
  const inputs = new Map(session.inputs.map(({ name, shape }) => [name, shape[1] ?? -1]));
  const graph = readTreeGraph(bytes, output, others, inputs);
  await setImmediate();
  const ensemble = readEnsemble(graph.ensemble, graph.columns);
  await setImmediate();
  return new TreeWalk(graph, ensemble);
}
