/**
 * `npm run build && node bench/wire/tls.ts [--seconds 3] [--runs 3]`: what TLS 1.3 costs on our transport. The server of `run.ts` on core 0, once in the clear and once with a P-256
 * certificate; our own client here, 64 calls in flight on one connection. Prints figures and the ratio, and writes `tls.json` beside this file with machine and date.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { ProtoWriter } from '@headrace/codec/writer';
import { WireClient } from '@headrace/wire/client';
import { RAW_BYTES } from '@headrace/wire/handler';

// Node runs this file as it is, and the compiler of the repository wants other endings than Node.
const { machine, ratio, stop } = (await import(new URL('../kit.ts', import.meta.url).href)) as typeof import('../kit.js');

const { values: options } = parseArgs({ options: { seconds: { type: 'string', default: '3' }, runs: { type: 'string', default: '3' } } });
const PREDICT = { path: '/bench.Predictor/Predict', kind: 'unary', request: RAW_BYTES, response: RAW_BYTES } as const;
const CALLERS = 64;
const FEATURES = 30;
const WARM_MS = 2_000;
/** Of /proc/PID/stat. */
const TICKS_PER_SECOND = 100;

interface Figures {
  readonly requestsPerSecond: number;
  /** All threads of the process. */
  readonly serverCpuUs: number;
}

const work = mkdtempSync(join(tmpdir(), 'bench-wire-tls-'));
const [key, certificate] = [join(work, 'key.pem'), join(work, 'certificate.pem')];
const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost'];
const names = ['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
execFileSync('openssl', ['req', '-x509', ...curve, ...names, '-keyout', key, '-out', certificate], { stdio: 'ignore' });
const request = requestOf(Float32Array.from({ length: FEATURES }, (_, i) => Math.sin(i)));
const clear = await start('wire');
const secured = await start('wire-tls', certificate, key);
const clients = [
  { transport: 'in the clear', server: clear.child, client: new WireClient({ host: '127.0.0.1', port: clear.port }) },
  {
    transport: 'TLS',
    server: secured.child,
    client: new WireClient({ host: '127.0.0.1', port: secured.port, tls: { ca: readFileSync(certificate) } }),
  },
];
for (const { server, client } of clients) await measure(server, client, WARM_MS);
const rounds: Figures[][] = [];
for (let run = 0; run < Number(options.runs); run++) {
  const round: Figures[] = [];
  for (const { server, client } of clients) round.push(await measure(server, client, Number(options.seconds) * 1000));
  rounds.push(round);
}
for (const { server, client } of clients) {
  await client.close();
  await stop(server);
}
rmSync(work, { recursive: true });
const rows = clients.map(({ transport }, i) => ({ transport, ...middle(rounds.map((round) => round[i]!)) }));
const [plain, tls] = [rows[0]!, rows[1]!];
const tlsCosts = {
  serverCpu: ratio(tls.serverCpuUs, plain.serverCpuUs),
  serverCpuUsMore: Math.round((tls.serverCpuUs - plain.serverCpuUs) * 100) / 100,
};
for (const row of rows) console.info(JSON.stringify(row));
console.info('TLS costs', JSON.stringify(tlsCosts));
const setting = { callers: CALLERS, connections: 1, seconds: Number(options.seconds), runs: Number(options.runs) };
writeFileSync(
  join(import.meta.dirname, 'tls.json'),
  `${JSON.stringify({ date: new Date().toISOString(), machine: machine(), ...setting, rows, tlsCosts }, null, 2)}\n`,
);

async function start(...args: readonly string[]): Promise<{ child: ChildProcess; port: number }> {
  const child = spawn('taskset', ['-c', '0', process.execPath, join(import.meta.dirname, 'server.ts'), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface({ input: child.stdout! }), 'line')) as [string];
  return { child, port: Number(line) };
}

async function measure(server: ChildProcess, client: WireClient, ms: number): Promise<Figures> {
  const [cpuBefore, startedAt] = [cpuSeconds(server.pid!), performance.now()];
  let answered = 0;
  const caller = async (): Promise<void> => {
    while (performance.now() - startedAt < ms) {
      await client.unary(PREDICT, request, { timeoutMs: 5_000 });
      answered++;
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  const seconds = (performance.now() - startedAt) / 1000;
  const serverCpuUs = Math.round(((cpuSeconds(server.pid!) - cpuBefore) / answered) * 1e8) / 100;
  return { requestsPerSecond: Math.round(answered / seconds), serverCpuUs };
}

function cpuSeconds(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

function middle(all: readonly Figures[]): Figures {
  return [...all].sort((a, b) => a.serverCpuUs - b.serverCpuUs)[all.length >> 1]!;
}

/** bench.PredictRequest { string model = 1; repeated float features = 2; uint32 rows = 3 } */
function requestOf(features: Float32Array): Uint8Array {
  const writer = new ProtoWriter();
  writer.tag(1, 2);
  writer.string('m');
  writer.tag(2, 2);
  writer.packedFloats(features, 0, features.length);
  writer.tag(3, 0);
  writer.uint32(1);
  return Buffer.from(writer.finish());
}
