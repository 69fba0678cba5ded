import { ServingAdminDefinition } from '@headrace/contracts/serving/v1/serving';
import { createClient } from '@headrace/platform/grpc/client';
import { eventually } from '@headrace/testkit/eventually';
import { freePort } from '@headrace/testkit/free-port';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Harness } from './harness.js';
import { logistic } from './peers.js';
import { PredictClient } from './predict-client.js';
import { ServingProcess } from './serving-process.js';

const BIASES = [-1.5, -0.5, 0, 0.75, 2] as const;
const ROW = [1, 2, 3] as const;

describe('two serving processes on one port', () => {
  let h: Harness;
  let two: ServingProcess;
  let state: string;
  beforeAll(async () => {
    h = await Harness.start();
    for (let version = 1; version <= 12; version++) h.peers.addLogistic('m', version, BIASES[version % 5]!);
    await h.serve('m', 1);
    state = await mkdtemp(join(tmpdir(), 'headrace-processes-'));
    two = await ServingProcess.start({
      ...h.config,
      processes: 2,
      stateDir: state,
      instance: 'duo',
      logLevel: 'info',
      httpPort: await freePort(),
      grpcPort: await freePort(),
    });
  });
  afterAll(async () => {
    expect(await two.stop()).toBe(0);
    await h.close();
    await rm(state, { recursive: true, force: true });
  });

  /** Callers with a connection each, so that the kernel deals them to both processes; every answer is checked against the version that it names. */
  function load(callers: number): { answered: number; failures: unknown[]; versions: Set<number>; stop(): Promise<void> } {
    let isStopped = false;
    const clients = Array.from({ length: callers }, () => PredictClient.overWire(two.grpcAddress));
    const result = { answered: 0, failures: [] as unknown[], versions: new Set<number>(), stop: () => Promise.resolve() };
    const running = clients.map(async (client) => {
      while (!isStopped) {
        try {
          const { version, rows } = await client.predict({ model: 'm', dense: [[...ROW]] });
          expect(rows[0]!.score).toBeCloseTo(logistic(...ROW, BIASES[version % 5]!), 5);
          result.versions.add(version);
          result.answered++;
        } catch (error) {
          result.failures.push(error);
        }
        // Ten milliseconds a caller: the load must not keep the processes from starting on a small machine.
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    });
    result.stop = async () => {
      isStopped = true;
      await Promise.all(running);
      for (const client of clients) client.close();
    };
    return result;
  }
  const pids = (): Set<number> => new Set(two.childPids());
  const bothAnswer = (): Promise<unknown> =>
    eventually('both answer', async () => {
      const own = load(16);
      await new Promise((resolve) => setTimeout(resolve, 100));
      await own.stop();
      return (await two.byProcess('headrace_serving_rows_total')).size === 2;
    });

  it('answer both, and a scrape of the one port shows both and their supervisor', async () => {
    await bothAnswer();
    expect(await two.metrics()).toMatch(/^headrace_processes_ready\{service="serving"\} 2$/m);
    expect((await two.byProcess('process_cpu_seconds_total')).size).toBe(2);
  });

  it('both hear of a new champion, each by itself', async () => {
    await h.promote('m', 2);
    await eventually('both swapped', () => {
      const instances = h.rollouts
        .filter((r) => r.step === 'swapped' && r.version === 2 && r.instance.startsWith('duo-'))
        .map((r) => r.instance);
      return instances.includes('duo-0.1') && instances.includes('duo-1.1');
    });
    const all = load(8);
    await eventually('they answer', () => all.answered > 50);
    await all.stop();
    expect([all.failures, [...all.versions]]).toEqual([[], [2]]);
  });

  it('both have a version that was asked for by its number, whichever was asked to load it', async () => {
    const admin = createClient(ServingAdminDefinition, two.grpcAddress);
    await admin.loadVersion({ model: 'm', version: 12 });
    admin.close();
    for (let i = 0; i < 12; i++) {
      const client = PredictClient.overWire(two.grpcAddress);
      expect((await client.predict({ model: 'm', version: 12, dense: [[...ROW]] })).version).toBe(12);
      client.close();
    }
  });

  it('both route by a policy that was set once, whichever was asked', async () => {
    const admin = createClient(ServingAdminDefinition, two.grpcAddress);
    await admin.setRoute({ route: { model: 'm', traffic: { $case: 'canary', value: { version: 12, percent: 100 } } } });
    const arms = new Set<string>();
    for (let i = 0; i < 12; i++) {
      const client = PredictClient.overWire(two.grpcAddress);
      const { arm, version } = await client.predict({ model: 'm', dense: [[...ROW]] });
      arms.add(`${arm}/${version}`);
      client.close();
    }
    expect([...arms]).toEqual(['canary/12']);
    await admin.setRoute({ route: { model: 'm' } });
    // By connections of their own the twelve went to both; whoever is asked knows of all.
    const [ofTwelve] = (await admin.getStatistics({ project: '', model: 'm' })).versions.filter(({ version }) => version === 12);
    expect(ofTwelve!.requests).toBe(24);
    admin.close();
  });

  it('are replaced one after the other on SIGHUP, during swaps, without a failed request', async () => {
    const before = pids();
    const all = load(8);
    two.signal('SIGHUP');
    for (let version = 3; version <= 8; version++) {
      await h.promote('m', version);
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    await eventually(
      'both are new',
      () => {
        const now = [...pids()];
        return now.length === 2 && now.every((pid) => !before.has(pid));
      },
      { withinMs: 60_000 },
    );
    await eventually('version 8 answers', () => all.versions.has(8));
    await all.stop();
    expect(all.failures).toEqual([]);
    expect(all.answered).toBeGreaterThan(200);
    await bothAnswer();
  });

  it('lose at most the calls in flight when one is killed; the other answers, and the killed one comes back', async () => {
    const [victim] = pids();
    const all = load(8);
    await eventually('the load runs', () => all.answered > 100);
    process.kill(victim!, 'SIGKILL');
    await eventually(
      'two are ready again',
      async () => pids().size === 2 && !pids().has(victim!) && /ready\{[^}]*\} 2$/m.test(await two.metrics()),
    );
    await all.stop();
    // One call for each connection at the most; a client that retries UNAVAILABLE sees none of them.
    expect(all.failures.length).toBeLessThanOrEqual(8);
    for (const failure of all.failures) expect(failure).toMatchObject({ code: 14 });
    expect(await two.metrics()).toMatch(/^headrace_process_restarts_total\{service="serving"\} 1$/m);
  });

  it('do not start on a port that somebody else has', async () => {
    const [grpc, http] = [two.grpcAddress, two.httpUrl].map((at) => Number(at.split(':').at(-1)));
    await expect(ServingProcess.start({ ...h.config, processes: 2, grpcPort: grpc!, httpPort: http!, stateDir: state })).rejects.toThrow(
      /it ended with 78: .*is taken by another process/,
    );
  });
});
