import { ONNXRUNTIME_VERSION } from '@headrace/executor/onnx-runtime';
import { eventually } from '@headrace/testkit/eventually';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Harness } from './harness.js';
import { logistic } from './peers.js';

const ROW = [1, 2, 3] as const;

/** A model is slow when its trial said so; the processes are stopped and killed by signals, so that nothing here hangs on a clock. */
describe('a slow model beside a fast one', () => {
  let h: Harness;
  const shas = new Map<number, string>();
  beforeAll(async () => {
    h = await Harness.start();
    h.peers.addLogistic('fast', 1, 0.25);
    for (const version of [1, 2, 3]) shas.set(version, h.peers.addLogistic('slow', version, version));
    await mkdir(join(h.config.stateDir!, 'serving', 'artifacts'), { recursive: true });
    for (const sha256 of shas.values())
      await writeFile(
        join(h.config.stateDir!, 'serving', 'artifacts', `${sha256}.proven-${ONNXRUNTIME_VERSION}`),
        JSON.stringify({ rowMs: 50, residentBytes: 1 }),
      );
    await h.serve('fast', 1);
    await h.serve('slow', 1);
  });
  afterAll(() => h.close());

  const ask = async (model: string): Promise<[number, number]> => {
    const { version, rows } = await h.client.predict({ model, dense: [[...ROW]] });
    return [version, rows[0]!.score];
  };
  const answerOf = (version: number): unknown => [version, expect.closeTo(logistic(...ROW, version), 5)];
  /** Processes that run the artefact of this version. */
  const workersOf = (version: number): number[] =>
    readdirSync('/proc')
      .map(Number)
      .filter((pid) => pid > 0 && commandOf(pid).includes('onnx-worker') && commandOf(pid).includes(shas.get(version)!));

  it('runs in a process of its own and answers as it would here; the fast one has none', async () => {
    expect(await ask('slow')).toEqual(answerOf(1));
    expect(workersOf(1)).toHaveLength(1);
    const large = await h.client.predict({ model: 'slow', dense: Array.from({ length: 1000 }, (_, i) => [i % 7, 1, 0]) });
    expect(large.rows.every((row, i) => Math.abs(row.score - logistic(i % 7, 1, 0, 1)) < 1e-5)).toBe(true);
  });

  it('holds nobody else up while it stands still; its own callers keep their deadline, and the rest is answered when it goes on', async () => {
    const [worker] = workersOf(1);
    process.kill(worker!, 'SIGSTOP');
    try {
      const waiting = Array.from({ length: 10 }, () => ask('slow'));
      const large = h.client.predict({ model: 'slow', dense: Array.from({ length: 1000 }, () => [...ROW]) });
      await expect(h.client.predict({ model: 'slow', dense: [[...ROW]] }, { timeoutMs: 200 })).rejects.toMatchObject({
        code: 'DEADLINE_EXCEEDED',
      });
      for (let i = 0; i < 200; i++) expect((await ask('fast'))[0]).toBe(1);
      const fastLarge = await h.client.predict({ model: 'fast', dense: Array.from({ length: 1000 }, () => [...ROW]) });
      expect(fastLarge.rows).toHaveLength(1000);
      process.kill(worker!, 'SIGCONT');
      for (const answer of waiting) expect(await answer).toEqual(answerOf(1));
      expect((await large).rows).toHaveLength(1000);
    } finally {
      process.kill(worker!, 'SIGCONT');
    }
  });

  it('is replaced under its callers: the old process answers what it has, and goes', async () => {
    const [worker] = workersOf(1);
    process.kill(worker!, 'SIGSTOP');
    const old = [ask('slow'), ask('slow'), ask('slow')];
    await eventually('they are inside', async () =>
      /headrace_serving_inside\{unit="requests",service="serving"\} 3/.test(await (await fetch(`${h.service.httpUrl}/metrics`)).text()),
    );
    await h.serve('slow', 2);
    expect(await ask('slow')).toEqual(answerOf(2));
    process.kill(worker!, 'SIGCONT');
    for (const answer of old) expect(await answer).toEqual(answerOf(1));
    await eventually('the old process has gone', () => workersOf(1).length === 0);
  });

  it('loses no request when its process is killed', async () => {
    const [worker] = workersOf(2);
    process.kill(worker!, 'SIGSTOP');
    const answers = Array.from({ length: 20 }, () => ask('slow'));
    process.kill(worker!, 'SIGKILL');
    for (const answer of answers) expect(await answer).toEqual(answerOf(2));
    expect(workersOf(2)).toHaveLength(1);
  });

  it('moves to a process of its own while it serves, when its runs prove slow', async () => {
    const own = await Harness.start({ inlineRunMs: 0.001 });
    try {
      const sha256 = own.peers.addLogistic('m', 1, 1);
      await mkdir(join(own.config.stateDir!, 'serving', 'artifacts'), { recursive: true });
      await writeFile(
        join(own.config.stateDir!, 'serving', 'artifacts', `${sha256}.proven-${ONNXRUNTIME_VERSION}`),
        JSON.stringify({ rowMs: 0, residentBytes: 1 }),
      );
      await own.serve('m', 1);
      shas.set(4, sha256);
      expect(workersOf(4)).toEqual([]);
      await eventually('it has moved', async () => {
        expect((await own.client.predict({ model: 'm', dense: [[...ROW]] })).rows[0]!.score).toBeCloseTo(logistic(...ROW, 1), 5);
        return workersOf(4).length === 1;
      });
      for (let i = 0; i < 20; i++) await own.client.predict({ model: 'm', dense: [[...ROW]] });
    } finally {
      await own.close();
    }
    await eventually('its process has gone with the service', () => workersOf(4).length === 0);
  });
});

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
