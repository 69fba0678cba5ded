/**
 * `npm run build && node bench/telemetry/run.ts`: what a span costs the code that opens it, CPU of the whole process included: without an exporter
 * (the default), with an exporter that samples one trace in a hundred, and with one that samples all. Prints the figures and writes `results.json`.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { Telemetry } from '@headrace/platform/telemetry';

// Node runs this file as it is, and the compiler of the repository wants other endings than Node.
const { machine } = (await import(new URL('../kit.ts', import.meta.url).href)) as typeof import('../kit.js');

const SPANS = 200_000;
/** Calls of one turn of the event loop; a service gets that many at once under load. */
const PER_TURN = 64;
const RUNS = 3;
const CASES = {
  'no span at all': undefined,
  'no exporter (default)': { otlp: false, sampleRatio: 1 },
  'exporter, 1 % sampled': { otlp: true, sampleRatio: 0.01 },
  'exporter, all sampled': { otlp: true, sampleRatio: 1 },
} as const;

interface Measured {
  readonly name: string;
  readonly cpuUsPerCall: number;
}

const [, , name, endpoint] = process.argv;
if (name) process.send!(await measure(name as keyof typeof CASES, endpoint!));
else await compare();

/** Each case in a process of its own, so that no heap or optimised code is shared; the median of the runs. */
async function compare(): Promise<void> {
  const collector = createServer((request, response) => request.resume().on('end', () => response.end()));
  await once(collector.listen(0, '127.0.0.1'), 'listening');
  const url = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
  const runs = new Map<string, number[]>(Object.keys(CASES).map((one) => [one, []]));
  for (let i = 0; i < RUNS; i++) {
    for (const one of Object.keys(CASES)) {
      const child = fork(import.meta.filename, [one, url], { stdio: 'inherit' });
      const [message] = (await once(child, 'message')) as [Measured];
      runs.get(one)!.push(message.cpuUsPerCall);
      child.disconnect();
      await once(child, 'exit');
    }
  }
  collector.close();
  const rows = [...runs].map(([one, us]) => ({ case: one, cpuUsPerCall: Number(us.sort((a, b) => a - b)[RUNS >> 1]!.toFixed(3)) }));
  for (const row of rows) console.info(JSON.stringify(row));
  const result = { date: new Date().toISOString(), machine: machine(), spans: SPANS, perTurn: PER_TURN, runs: RUNS, rows };
  writeFileSync(join(import.meta.dirname, 'results.json'), `${JSON.stringify(result, null, 2)}\n`);
}

async function measure(one: keyof typeof CASES, url: string): Promise<Measured> {
  const options = CASES[one];
  const telemetry =
    options &&
    new Telemetry({ service: 'bench', instance: 'bench', otlpEndpoint: options.otlp ? url : '', sampleRatio: options.sampleRatio });
  const call = telemetry
    ? () => telemetry.span('grpc /bench/Call', { 'rpc.system': 'grpc', 'rpc.method': '/bench/Call' }, work)
    : () => work();
  await many(call, SPANS / 10);
  const before = process.cpuUsage();
  await many(call, SPANS);
  await telemetry?.close(); // what is buffered is sent within the measured time
  const { user, system } = process.cpuUsage(before);
  return { name: one, cpuUsPerCall: (user + system) / SPANS };
}

async function many(call: () => Promise<unknown>, count: number): Promise<void> {
  for (let done = 0; done < count; done += PER_TURN) {
    await Promise.all(Array.from({ length: PER_TURN }, call));
    await turn();
  }
}

/** A handler that waits once, as all do. */
async function work(): Promise<number> {
  await Promise.resolve();
  return 1;
}
