/**
 * `npm run build && node bench/wire/run.ts [--seconds 3] [--runs 3]`: our transport against grpc-js with the same handler and codec. Server on core 0,
 * load on core 1. Prints a table and the ratios, and writes `results.json` beside this file with machine and date.
 */
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '3' }, runs: { type: 'string', default: '3' }, only: { type: 'string', default: '' } },
});
const here = import.meta.dirname;
const cache = join(here, '../../.headrace/cache/wire-loadgen');
const loadgen = join(cache, 'release/wire-loadgen');
const work = mkdtempSync(join(tmpdir(), 'bench-wire-'));

interface Row {
  readonly transport: string;
  readonly callers: number;
  readonly connections: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly errors: number;
  readonly serverCpuUs: number;
  readonly rssMiB: number;
  readonly clientCpuUs: number;
}

/** Above it other work takes part of the two cores, and requests per second say nothing; CPU per request still does. */
const LOAD_AVERAGE_MAX = 1;
const loadAverageAtStart = loadavg()[0]!;

const SHAPES = [
  [1, 1],
  [16, 1],
  [64, 1],
  [64, 64],
] as const;

if (!existsSync(loadgen)) {
  mkdirSync(cache, { recursive: true });
  execFileSync('cargo', ['build', '--release', '-j', '1'], {
    cwd: join(here, 'loadgen'),
    env: { ...process.env, CARGO_TARGET_DIR: cache },
    stdio: 'inherit',
  });
}
const payload = join(work, 'rows.bin');
writeFileSync(payload, rowsFile());

const rows: Row[] = [];
const heap: Record<string, number> = {};
for (const transport of ['wire', 'grpc-js'].filter((name) => values.only === '' || name === values.only)) {
  const { child, port } = await start(transport);
  for (const [callers, connections] of SHAPES) rows.push(measure(transport, child, port, callers, connections));
  if (transport === 'wire') heap['bytesPerMillionRequests'] = await heapGrowth(child, port);
  child.kill('SIGTERM');
  await once(child, 'exit');
}
rmSync(work, { recursive: true });
report();

async function start(transport: string): Promise<{ child: ChildProcess; port: number }> {
  const child = spawn('taskset', ['-c', '0', process.execPath, '--expose-gc', join(here, 'server.ts'), transport], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface({ input: child.stdout! }), 'line')) as [string];
  return { child, port: Number(line) };
}

function measure(transport: string, child: ChildProcess, port: number, callers: number, connections: number): Row {
  const output = load(child, port, callers, connections, Number(values.runs));
  // The median run by requests per second.
  const runs = output
    .trim()
    .split('\n')
    .map((line) => line.split('\t').map(Number))
    .sort((a, b) => a[0]! - b[0]!);
  const [requestsPerSecond, p50Ms, p99Ms, errors, serverCpuUs, rssMiB, clientCpuUs] = runs[runs.length >> 1]! as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const row = { transport, callers, connections, requestsPerSecond, p50Ms, p99Ms, errors, serverCpuUs, rssMiB, clientCpuUs };
  console.info(JSON.stringify(row));
  return row;
}

function load(child: ChildProcess, port: number, callers: number, connections: number, runs: number): string {
  const args = [
    '-c',
    '1',
    loadgen,
    '--addr',
    `127.0.0.1:${port}`,
    '--path',
    '/bench.Predictor/Predict',
    '--payload',
    payload,
    '--c',
    String(callers),
    '--conns',
    String(connections),
    '--dur',
    values.seconds,
    '--runs',
    String(runs),
    '--pid',
    String(child.pid),
  ];
  return execFileSync('taskset', args, { encoding: 'utf8' });
}

/** Heap in use after a full collection, before and after a load. */
async function heapGrowth(child: ChildProcess, port: number): Promise<number> {
  const lines = createInterface({ input: child.stdout! });
  const used = async (): Promise<{ heapUsed: number; answered: number }> => {
    child.kill('SIGUSR2');
    const [line] = (await once(lines, 'line')) as [string];
    const { heapUsed, stats } = JSON.parse(line) as { heapUsed: number; stats: { callsAnswered: number } };
    return { heapUsed, answered: stats.callsAnswered };
  };
  const before = await used();
  load(child, port, 64, 1, 1);
  const after = await used();
  return Math.round(((after.heapUsed - before.heapUsed) / (after.answered - before.answered)) * 1e6);
}

function report(): void {
  const byShape = (transport: string, index: number): Row | undefined => rows.filter((row) => row.transport === transport)[index];
  const ratios = SHAPES.flatMap(([callers, connections], i) => {
    const [ours, theirs] = [byShape('wire', i), byShape('grpc-js', i)];
    return ours === undefined || theirs === undefined
      ? []
      : [
          {
            callers,
            connections,
            throughput: ratio(ours.requestsPerSecond, theirs.requestsPerSecond),
            serverCpu: ratio(theirs.serverCpuUs, ours.serverCpuUs),
            p99: ratio(theirs.p99Ms, ours.p99Ms),
          },
        ];
  });
  console.info(rows);
  console.info('wire against grpc-js, times better');
  console.info(ratios);
  const machine = {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    loadAverageAtStart,
  };
  if (loadAverageAtStart > LOAD_AVERAGE_MAX) {
    console.info(
      `The machine was busy (load average ${loadAverageAtStart}): only CPU per request is comparable, and results.json stays as it was.`,
    );
    return;
  }
  writeFileSync(
    join(here, 'results.json'),
    `${JSON.stringify({ date: new Date().toISOString(), machine, seconds: Number(values.seconds), runs: Number(values.runs), rows, ratios, heap }, null, 2)}\n`,
  );
}

function ratio(a: number, b: number): number {
  return Math.round((a / b) * 100) / 100;
}

/** 512 different rows, so that caches and branch prediction are not flattered. */
function rowsFile(): Buffer {
  const parts: Buffer[] = [];
  for (let row = 0; row < 512; row++) {
    const floats = Float32Array.from({ length: 30 }, (_, i) => Math.sin(row * 31 + i) * 3);
    const body = Buffer.concat([
      Buffer.from([0x0a, 2, 0x6d, 0x31, 0x12, floats.byteLength]),
      Buffer.from(floats.buffer),
      Buffer.from([0x18, 1]),
    ]);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(body.length);
    parts.push(length, body);
  }
  return Buffer.concat(parts);
}
