import { createHash } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { FeatureBlock } from './feature-block.js';
import { compileInputPlan, type InputPlan } from './input-plan.js';
import { OnnxModel } from './onnx-model.js';
import { openOnnx } from './onnx-runtime.js';
import { openOnnxInWorker } from './worker-onnx.js';

const pathOf = (name: string): string => fileURLToPath(new URL(`../../../services/serving/test/fixtures/${name}.onnx`, import.meta.url));
const fileOf = (name: string) => ({
  path: pathOf(name),
  sha256: createHash('sha256')
    .update(readFileSync(pathOf(name)))
    .digest('hex'),
});
const input = (name: string, type = 'float64') => ({ name, type, reference: `v:${name}` });
const dense = compileInputPlan([input('a'), input('b'), input('c')], []);
const withText = compileInputPlan([input('a'), input('city', 'string')], []);
const folder = mkdtempSync(join(tmpdir(), 'headrace-worker-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const opened: { release(): void }[] = [];
afterEach(() => opened.splice(0).forEach((session) => session.release()));

/** The same model here and in a worker. */
async function pair(name: string, plan: InputPlan) {
  const worker = await openOnnxInWorker(fileOf(name));
  const here = new OnnxModel(await openOnnx(readFileSync(pathOf(name))), plan, name);
  const there = new OnnxModel(worker, plan, name);
  opened.push(here, there);
  return { here, there, worker };
}

describe('a model in a process of its own', () => {
  it.each<[string, InputPlan]>([
    ['logistic', dense],
    ['text', withText],
  ])('gives the same bits as in this one: %s', async (name, plan) => {
    const { here, there } = await pair(name, plan);
    const block = new FeatureBlock(plan, 16);
    block.numbers.forEach((_, i) => (block.numbers[i] = Math.sin(i) * 3));
    block.texts[0]?.forEach((_, i, column) => (column[i] = ['Bern', 'Basel', '', 'Zürich'][i % 4]!));
    const expected = [...(await here.run(block, 3, 10))].slice(0, 10);
    expect([...(await there.run(block, 3, 10))].slice(0, 10)).toEqual(expected);
  });

  it('answers what was in a worker that was killed by the next one', async () => {
    const { here, there, worker } = await pair('logistic', dense);
    const block = new FeatureBlock(dense, 2);
    block.numbers.set([1, 2, 3, 4, 5, 6]);
    const expected = [...(await here.run(block, 0, 2))].slice(0, 2);
    const pid = worker.pid();
    process.kill(pid, 'SIGSTOP');
    const answers = [there.run(block, 0, 2), there.run(block, 0, 2)];
    process.kill(pid, 'SIGKILL');
    for (const answer of answers) expect([...(await answer)].slice(0, 2)).toEqual(expected);
    expect(worker.pid()).not.toBe(pid);
  });

  it('says that it is away when the next worker dies of the same run, and answers the run after it', async () => {
    const { there, worker } = await pair('logistic', dense);
    const block = new FeatureBlock(dense, 1);
    const first = worker.pid();
    process.kill(first, 'SIGSTOP');
    let isOver = false;
    const answer = (there.run(block, 0, 1) as Promise<Float32Array>).finally(() => (isOver = true));
    const refused = expect(answer).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
    // Every worker that comes is killed before it can answer, until the run is given up.
    while (!isOver) {
      if (worker.pid() > 0) process.kill(worker.pid(), 'SIGKILL');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await refused;
    expect([...(await there.run(block, 0, 1))]).toHaveLength(1);
  });

  it('tells of every run: its rows, and what it took there', async () => {
    const ran: number[][] = [];
    const session = await openOnnxInWorker(fileOf('logistic'), (rows, ms) => ran.push([rows, ms]));
    opened.push(session);
    const there = new OnnxModel(session, dense, 'logistic');
    const block = new FeatureBlock(dense, 8);
    for (const rows of [1, 8]) await there.run(block, 0, rows);
    expect(ran.map(([rows]) => rows)).toEqual([1, 8]);
    for (const [, ms] of ran) expect(ms).toBeGreaterThan(0);
  });

  it('is retired after its last answer, also when its process dies meanwhile, and takes no run after it', async () => {
    const { there, worker } = await pair('logistic', dense);
    const block = new FeatureBlock(dense, 1);
    const pid = worker.pid();
    process.kill(pid, 'SIGSTOP');
    const answers = [there.run(block, 0, 1), there.run(block, 0, 1)];
    there.retire();
    process.kill(pid, 'SIGKILL');
    for (const answer of answers) expect([...(await answer)]).toHaveLength(1);
    await expect(there.run(block, 0, 1)).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
    const last = worker.pid();
    expect(last).not.toBe(pid);
    while (isRunning(last)) await new Promise((resolve) => setTimeout(resolve, 5));
  });

  it('refuses a file that is no model, and one that is not what its hash says', async () => {
    const bad = join(folder, 'bad.onnx');
    writeFileSync(bad, 'no model');
    const sha256 = createHash('sha256').update('no model').digest('hex');
    await expect(openOnnxInWorker({ path: bad, sha256 })).rejects.toThrow(/protobuf|model/i);
    copyFileSync(pathOf('logistic'), bad);
    await expect(openOnnxInWorker({ path: bad, sha256 })).rejects.toThrow(/holds something else/);
  });
});

function isRunning(pid: number): boolean {
  try {
    return pid > 0 && process.kill(pid, 0);
  } catch {
    return false;
  }
}
