import { scoresOutput } from './onnx-model.js';
import { byOnnxRuntime, openOnnx, type OnnxSession } from './onnx-runtime.js';
import { openTrees } from './trees/tree-session.js';

/** What may compute scores: our walk over trees where a graph is nothing but trees, or ONNX Runtime always. */
export type TreeRuntime = 'walk' | 'onnxruntime';

/** Bytes -> a session on this thread. @throws Error what ONNX Runtime says of the file. */
export async function openSession(bytes: Uint8Array, trees: TreeRuntime = 'walk'): Promise<OnnxSession> {
  const session = await openOnnx(bytes);
  const scores = scoresOutput(session.outputs);
  if (trees === 'onnxruntime') return { ...session, runtime: byOnnxRuntime('it is turned off') };
  if (!scores) return { ...session, runtime: byOnnxRuntime('the graph has no scores') };
  try {
    return await openTrees(session, bytes, scores.name);
  } catch (error) {
    session.release();
    throw error;
  }
}
