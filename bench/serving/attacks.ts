/**
 * `npm run build && node bench/serving/attacks.ts`: what an attacker costs the other clients of the serving service. The service with everything on, alone on core 0; an ordinary client and
 * the attacker on core 1, the attacker with the lowest priority there, because it should take the server's time and not the client's. Each attack, begun anew ten times a second and without
 * any pause, beside the same load without it, turn about. Prints the figures and writes `attacks.json` beside this file with machine and date.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { seededRandom } from '@headrace/base/random';
import type { Figures } from '../kit.js';

// Node runs this file as it is, and the compiler of the repository wants other endings than Node.
const { cacheDir, machine, ratio, repository, savePayload, stop } = (await import(
  new URL('../kit.ts', import.meta.url).href
)) as typeof import('../kit.js');
const { denseRequests, load, openRig, rowsOf, saveModels, startServing, turnAbout } = (await import(
  new URL('./rig.ts', import.meta.url).href
)) as typeof import('./rig.js');
const { makeMlp } = (await import(new URL('./mlp.ts', import.meta.url).href)) as typeof import('./mlp.js');

const { values: options } = parseArgs({
  options: { seconds: { type: 'string', default: '2' }, runs: { type: 'string', default: '3' }, only: { type: 'string', default: '' } },
});
const PATH = '/headrace.serving.v1.Prediction/Predict';
/** `none`: the attacker takes its share of the client's core and sends nothing. */
const ATTACKS = ['none', 'slowloris', 'half messages', 'header flood', 'rapid reset', '10,000 streams', 'gzip bomb', 'ping flood'].filter(
  (name) => name.includes(options.only),
);
/** Between the end of one attack and the next. */
const PAUSES_MS = [100, 0];
/** Far below what the server can answer, as a server in use is. */
const CALLERS = 4;

const random = seededRandom(7);
const row = rowsOf(random);
const rig = await openRig();
const results: Record<string, unknown>[] = [];
try {
  saveModels(join(rig.work, 'state'), { mlp: makeMlp(random) }, row);
  const payload = join(rig.work, 'rows.bin');
  savePayload(payload, denseRequests('mlp', row));
  const wire = buildWire();
  const server = await startServing(rig, 'attacks', {});
  const measure = (): Promise<Figures> =>
    load(rig, server, { path: PATH, payload, callers: CALLERS, connections: 1, seconds: Number(options.seconds), timeoutMs: 5_000 });
  await measure();
  await measure();
  const port = server.address.split(':')[1]!;
  const under = async (attack: string, pauseMs: number, target = port): Promise<Figures> => {
    const attacker = startAside('attacker.mjs', [wire, target, attack, PATH, String(pauseMs)]);
    const figures = await measure();
    await stop(attacker);
    return figures;
  };
  const underAttackOnSink = async (attack: string): Promise<Figures> => {
    const sink = startAside('sink.mjs', []);
    const [sinkPort] = (await once(sink.stdout!, 'data')) as [Buffer];
    const figures = await under(attack, 0, String(sinkPort).trim());
    await stop(sink);
    return figures;
  };
  for (const attack of ATTACKS) {
    const rssBeforeMiB = rssMiB(server.child.pid!);
    const calls = [measure, () => underAttackOnSink(attack), ...PAUSES_MS.map((pauseMs) => () => under(attack, pauseMs))];
    const [alone, onSink, ...attacked] = await turnAbout(Number(options.runs), calls);
    attacked.forEach(({ p99Ms, requestsPerSecond, errors, rssMiB: rssMost }, i) => {
      const normal = { p99AloneMs: alone!.p99Ms, requestsPerSecondAlone: alone!.requestsPerSecond };
      const timesNormal = ratio(p99Ms, alone!.p99Ms);
      results.push({
        attack,
        pauseMs: PAUSES_MS[i],
        p99Ms,
        timesNormal,
        ...(PAUSES_MS[i] === 0 ? { timesNormalWithSinkAttacked: ratio(onSink!.p99Ms, alone!.p99Ms) } : {}),
        requestsPerSecond,
        ...normal,
        errors,
        rssBeforeMiB,
        rssMiB: rssMost,
      });
      console.info(JSON.stringify(results.at(-1)));
    });
  }
  await stop(server.child);
} finally {
  await rig.close();
}
if (options.only === '') {
  const setting = { callers: CALLERS, seconds: Number(options.seconds), runs: Number(options.runs) };
  const record = { date: new Date().toISOString(), machine: machine(), ...setting, results };
  writeFileSync(join(import.meta.dirname, 'attacks.json'), `${JSON.stringify(record, null, 2)}\n`);
}

/** A process on the client's core, with the lowest priority there. */
function startAside(script: string, args: readonly string[]): ChildProcess {
  const command = ['-c', '1', 'nice', '-n', '19', process.execPath, join(import.meta.dirname, script), ...args];
  return spawn('taskset', command, { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** The transport with the tests' peer that follows no rules. @returns where */
function buildWire(): string {
  const out = join(cacheDir, 'wire-fuzz');
  const args = ['src', 'test', '-d', out, '--config-file', join(repository, '.swcrc'), '-q'];
  execFileSync(join(repository, 'node_modules/.bin/swc'), args, { cwd: join(repository, 'libs/wire'), stdio: 'inherit' });
  return out;
}

function rssMiB(pid: number): number {
  const kib = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Math.round(Number(kib) / 1024);
}
