/**
 * `npm run build && node bench/wire/run.ts [--seconds 3] [--runs 3]`: our transport against grpc-js with the same handler and codec. Server on core 0,
 * load on core 1. Prints a table and the ratios, and writes `results.json` beside this file with machine and date.
 */
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import type { Figures } from '../kit.js';

// Node runs this file as it is, and the compiler of the repository wants other endings than Node.
const { buildLoadgen, figuresOf, machine, medianOf, ratio, savePayload } = (await import(
  new URL('../kit.ts', import.meta.url).href
)) as typeof import('../kit.js');

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '3' }, runs: { type: 'string', default: '3' }, only: { type: 'string', default: '' } },
});
const here = import.meta.dirname;
const loadgen = buildLoadgen();
const work = mkdtempSync(join(tmpdir(), 'bench-wire-'));

interface Row extends Figures {
  readonly transport: string;
  readonly callers: number;
  readonly connections: number;
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

const payload = join(work, 'rows.bin');
savePayload(payload, rows512());

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
  const row = { transport, callers, connections, ...medianOf(output.trim().split('\n').map(figuresOf))! };
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
  if (loadAverageAtStart > LOAD_AVERAGE_MAX) {
    console.info(
      `The machine was busy (load average ${loadAverageAtStart}): only CPU per request is comparable, and results.json stays as it was.`,
    );
    return;
  }
  writeFileSync(
    join(here, 'results.json'),
    `${JSON.stringify({ date: new Date().toISOString(), machine: { ...machine(), loadAverageAtStart }, seconds: Number(values.seconds), runs: Number(values.runs), rows, ratios, heap }, null, 2)}\n`,
  );
}

/** 512 different rows, so that caches and branch prediction are not flattered. */
function rows512(): Uint8Array[] {
  return Array.from({ length: 512 }, (_, row) => {
    const floats = Float32Array.from({ length: 30 }, (_, i) => Math.sin(row * 31 + i) * 3);
    const head = Buffer.from([0x0a, 2, 0x6d, 0x31, 0x12, floats.byteLength]);
    return Buffer.concat([head, Buffer.from(floats.buffer), Buffer.from([0x18, 1])]);
  });
}
