/**
 * Runs one model in a process of its own, for a parent whose event loop must not wait for it: `onnx-worker PATH SHA256 TREES`. Opens the file by the
 * same code as the parent would, then answers runs in the order in which they came. Ends with its parent.
 */
import { messageOf } from '@headrace/base/errors';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { OnnxSession } from './onnx-runtime.js';
import { openSession, type TreeRuntime } from './open-session.js';
import { fromSent, toSent, type FromWorker, type ToWorker } from './worker-messages.js';

const [path = '', sha256 = '', trees] = process.argv.slice(2);

process.once('disconnect', () => process.exit(0));
const session = await open();
process.on('message', (message: ToWorker) => void run(message));
say({ kind: 'opened', inputs: session.inputs, outputs: session.outputs, runtime: session.runtime });

async function open(): Promise<OnnxSession> {
  try {
    const bytes = readFileSync(path);
    // The parent verified its own bytes; the file may have changed since.
    if (createHash('sha256').update(bytes).digest('hex') !== sha256) throw new Error(`the file of artefact ${sha256} holds something else`);
    return await openSession(bytes, trees as TreeRuntime);
  } catch (error) {
    await new Promise((resolve) => process.send!({ kind: 'refused', error: messageOf(error) } satisfies FromWorker, resolve));
    process.exit(1);
  }
}

async function run({ id, feeds, outputs }: ToWorker): Promise<void> {
  try {
    const inputs = fromSent(feeds);
    const startedAt = performance.now();
    const tensors = await session.runAll(inputs, outputs);
    const ms = performance.now() - startedAt;
    say({ kind: 'ran', id, outputs: toSent(tensors), ms });
  } catch (error) {
    say({ kind: 'failed', id, error: messageOf(error) });
  }
}

function say(message: FromWorker): void {
  process.send!(message);
}
