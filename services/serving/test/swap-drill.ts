import { sleep } from '@headrace/base/clock';
import { eventually } from '@headrace/testkit/eventually';
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Harness } from './harness.js';
import { logistic } from './peers.js';
import { PredictClient } from './predict-client.js';
import { ServingProcess } from './serving-process.js';

const run = promisify(execFile);
const MODEL = 'drill';
/** Artefacts are shared by versions this far apart; neighbours always answer differently, by more than a hundred times the tolerance. */
const ARTEFACTS = 10;
/** Of a version's formula; see `logistic`. */
const biasOf = (version: number): number => (version % ARTEFACTS) * 0.3 - 1.5;
const TOLERANCE = 1e-5;
/** Tries of one request in all, when the answer is UNAVAILABLE. */
const TRIES = 6;

export interface DrillOptions {
  readonly swaps: number;
  /** Callers of our own client, a connection each. */
  readonly callers: number;
  /** One of the two processes is killed by SIGKILL at every so many swaps; 0 = never. */
  readonly killEvery: number;
  /** Clients of others beside ours, by name. */
  readonly foreign: Readonly<Record<string, ForeignLoad>>;
}

/** Loads both doors without retrying until it is told to stop. */
export type ForeignLoad = (doors: { readonly grpc: string; readonly http: string }, isStopped: () => boolean) => Promise<ForeignResult>;

export interface ForeignResult {
  readonly answered: number;
  readonly failed: number;
  /** How calls ended, as the client says it. */
  readonly codes: Readonly<Record<string, number>>;
}

export interface DrillResult {
  readonly swaps: number;
  readonly kills: number;
  readonly seconds: number;
  readonly answered: number;
  /** Requests that got no answer even by retrying. */
  readonly failed: number;
  /** Tries that failed with UNAVAILABLE. */
  readonly retried: number;
  /** Answers whose rows are not those of the version that they name. */
  readonly mixed: number;
  /** Answers of a version that nobody had promoted, or that every process had left when the request began. */
  readonly wrongVersion: number;
  readonly versionsSeen: number;
  readonly failures: readonly string[];
  readonly foreign: Readonly<Record<string, ForeignResult>>;
}

/**
 * Two processes on one port, under load from clients that check every answer, while the champion changes as fast as both processes say that
 * they swapped. Each version answers differently, so a mixture cannot hide.
 */
export async function swapDrill(h: Harness, state: string, options: DrillOptions): Promise<DrillResult> {
  for (let version = 1; version <= options.swaps + 1; version++) h.peers.addLogistic(MODEL, version, biasOf(version));
  h.peers.setChampion(MODEL, 1);
  const instance = `drill-${options.killEvery}`;
  const two = await ServingProcess.start({ ...h.config, processes: 2, stateDir: state, instance, httpPort: 0, grpcPort: 0 });
  const swapped = new SwapWatch(h, `${instance}-`);
  const counts = { answered: 0, failed: 0, retried: 0, mixed: 0, wrongVersion: 0 };
  const failures: string[] = [];
  const seen = new Set<number>();
  let promoted = 1;
  let confirmed = 0;
  let kills = 0;
  let isStopped = false;
  const note = (text: string): void => void (failures.length < 20 && failures.push(text));

  const ask = async (client: PredictClient, i: number): Promise<void> => {
    const rows = Array.from({ length: 1 + (i % 3) }, (_, row) => [(i % 7) - 3, row, (i % 5) - 2] as const);
    // A killed process comes back with what it saved last, and hears of the rest a moment later.
    const oldest = options.killEvery > 0 ? 1 : confirmed;
    for (let tried = 1; ; tried++) {
      try {
        const answer = await client.predict({ model: MODEL, dense: rows.map((row) => [...row]) });
        counts.answered++;
        seen.add(answer.version);
        const isOwn = rows.every(
          (row, r) => Math.abs(answer.rows[r]!.score - logistic(...row, Math.fround(biasOf(answer.version)))) < TOLERANCE,
        );
        if (!isOwn) counts.mixed++;
        if (answer.version < oldest || answer.version > promoted) {
          counts.wrongVersion++;
          note(`version ${answer.version} outside of ${oldest} to ${promoted}`);
        }
        return;
      } catch (error) {
        if ((error as { code?: unknown }).code === 14 && tried < TRIES) {
          counts.retried++;
          await sleep(20 * tried);
          continue;
        }
        counts.failed++;
        note(String(error));
        return;
      }
    }
  };
  const caller = async (start: number): Promise<void> => {
    // A new connection now and then, so that both processes always have some.
    for (let i = start; !isStopped;) {
      const client = PredictClient.overWire(two.grpcAddress);
      for (let calls = 0; calls < 200 && !isStopped; calls++, i += 7) {
        await ask(client, i);
        await sleep(2);
      }
      client.close();
    }
  };

  try {
    await eventually('both serve the first version', () => swapped.count(1) >= 2, { withinMs: 30_000 });
    confirmed = 1;
    const begin = performance.now();
    const callers = Array.from({ length: options.callers }, (_, i) => caller(i * 101));
    const doors = { grpc: two.grpcAddress, http: two.httpUrl };
    const loads = Object.entries(options.foreign).map(async ([name, load]) => [name, await load(doors, () => isStopped)] as const);
    for (let version = 2; version <= options.swaps + 1; version++) {
      promoted = version;
      await h.promote(MODEL, version);
      if (options.killEvery > 0 && version % options.killEvery === 0) {
        const pids = two.childPids();
        const victim = pids[kills++ % pids.length]!;
        process.kill(victim, 'SIGKILL');
        // The supervisor must have noticed first: else the next kill could meet the only one that is left.
        const areBack = async (): Promise<boolean> =>
          !two.childPids().includes(victim) &&
          two.childPids().length === 2 &&
          /^headrace_processes_ready\{[^}]*\} 2$/m.test(await two.metrics());
        await eventually('both are ready again', areBack, { withinMs: 30_000 });
      } else if (options.killEvery === 0) {
        await eventually(`both swapped to ${version}`, () => swapped.count(version) >= 2, { everyMs: 2, withinMs: 30_000 });
        confirmed = version;
      } else await sleep(20);
    }
    await eventually('the last version answers', () => seen.has(options.swaps + 1), { withinMs: 30_000 });
    isStopped = true;
    await Promise.all(callers);
    const foreign = Object.fromEntries(await Promise.all(loads));
    const seconds = Math.round(performance.now() - begin) / 1000;
    return { swaps: options.swaps, kills, seconds, ...counts, versionsSeen: seen.size, failures, foreign };
  } finally {
    isStopped = true;
    await two.stop();
  }
}

/** Which processes said that they swapped, read as the events come. */
class SwapWatch {
  readonly #instances = new Map<number, Set<string>>();
  #read = 0;

  constructor(
    private readonly h: Harness,
    private readonly prefix: string,
  ) {}

  count(version: number): number {
    for (; this.#read < this.h.rollouts.length; this.#read++) {
      const { model, instance, step, version: of } = this.h.rollouts[this.#read]!;
      if (model !== MODEL || step !== 'swapped' || !instance.startsWith(this.prefix)) continue;
      const instances = this.#instances.get(of) ?? new Set();
      this.#instances.set(of, instances.add(instance));
    }
    return this.#instances.get(version)?.size ?? 0;
  }
}

const ghzFolder = fileURLToPath(new URL('../../../.headrace/cache/go-bin', import.meta.url));

/** Whether ghz is there or can be built. */
export async function hasGhz(): Promise<boolean> {
  if (existsSync(`${ghzFolder}/ghz`)) return true;
  try {
    mkdirSync(ghzFolder, { recursive: true });
    await run('go', ['install', 'github.com/bojand/ghz/cmd/ghz@v0.93.0'], { env: { ...process.env, GOBIN: ghzFolder } });
    return true;
  } catch {
    return false;
  }
}

/** A foreign client, which finds the method by reflection and does not retry: one run of a thousand calls after the other. */
export const ghzLoad: ForeignLoad = async ({ grpc }, isStopped) => {
  const codes: Record<string, number> = {};
  while (!isStopped()) {
    const data = JSON.stringify({ model: MODEL, dense: [1, 2, 3] });
    const args = ['--insecure', '--call', 'headrace.serving.v1.Prediction/Predict', '-d', data, '-n', '1000', '--rps', '500', '-c', '16'];
    const { stdout } = await run(`${ghzFolder}/ghz`, [...args, '--connections', '4', '-O', 'json', grpc], { maxBuffer: 1 << 26 });
    const report = JSON.parse(stdout) as { statusCodeDistribution: Record<string, number> };
    for (const [code, calls] of Object.entries(report.statusCodeDistribution)) codes[code] = (codes[code] ?? 0) + calls;
  }
  const { OK: answered = 0, ...others } = codes;
  return { answered, failed: Object.values(others).reduce((sum, calls) => sum + calls, 0), codes };
};
