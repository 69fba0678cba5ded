/**
 * `npm run build && node bench/serving/run.ts`: the built serving service over libs/wire against the same service over grpc-js, and with traces on. Real Redis and Kafka,
 * prediction log, metrics and admission on. Prints the figures and the ratios, and writes `results.json` beside this file with machine and date.
 */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { compileBlobSchema, encodeBlob } from '@headrace/codec/feature-blob';
import { joinEntityKey, onlineKey } from '@headrace/codec/feature-key';
import { encodePredictRequest } from '@headrace/codec/predict-request';
import { ProtoWriter } from '@headrace/codec/writer';
import { seededRandom } from '@headrace/base/random';
import { Redis } from 'ioredis';
import type { Figures } from '../kit.js';
import type { Server } from './rig.js';

// Node runs this file as it is, and the compiler of the repository wants other endings than Node.
const { machine, savePayload, stop } = (await import(new URL('../kit.ts', import.meta.url).href)) as typeof import('../kit.js');
const { compared, denseRequests, FIELDS, load, openRig, rowsOf, saveModels, startServing, turnAbout } = (await import(
  new URL('./rig.ts', import.meta.url).href
)) as typeof import('./rig.js');
const { makeMlp } = (await import(new URL('./mlp.ts', import.meta.url).href)) as typeof import('./mlp.js');

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '2' },
    runs: { type: 'string', default: '3' },
    callers: { type: 'string', default: '64' },
    profile: { type: 'string', default: '' },
  },
});
const ENTITIES = 512;
/** With traces: every trace is sampled and sent to a collector of ours that throws them away. */
const SERVERS = ['wire', 'wire with traces', 'grpc-js'] as const;
const KINDS = ['dense', 'entity'] as const;
type Kind = (typeof KINDS)[number];
type Row = Figures & { readonly server: (typeof SERVERS)[number]; readonly kind: Kind; readonly callers: number };
/** By entity the wait for Redis decides; with so few in flight its length is seen. */
const FEW_CALLERS = 16;

const random = seededRandom(7);
const row = rowsOf(random);
const rig = await openRig();
const collector = await startCollector();
const rows: Row[] = [];
try {
  saveModels(join(rig.work, 'state'), { mlp: makeMlp(random) }, row);
  await fillRedis();
  for (const kind of KINDS) savePayload(payloadOf(kind), requests(kind));
  const servers: Server[] = [];
  for (const server of SERVERS) servers.push(await startServing(rig, server, environment(server), profile(server)));
  for (const server of servers) for (const kind of KINDS) await measure(kind, server, 3);
  for (const kind of KINDS) {
    const figures = await turnAbout(
      Number(options.runs),
      servers.map((server) => () => measure(kind, server, Number(options.seconds))),
    );
    rows.push(...figures.map((one, i) => ({ server: SERVERS[i]!, kind, callers: Number(options.callers), ...one })));
  }
  const few = await turnAbout(Number(options.runs), [() => measure('entity', servers[0]!, Number(options.seconds), FEW_CALLERS)]);
  rows.push({ server: SERVERS[0], kind: 'entity', callers: FEW_CALLERS, ...few[0]! });
  for (const server of servers) await stop(server.child);
} finally {
  collector.server.close();
  await rig.close();
}
report();

/** Takes what an OTLP exporter sends and drops it. */
async function startCollector(): Promise<{ server: HttpServer; url: string }> {
  const server = createServer((request, response) => request.resume().on('end', () => response.end()));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

async function fillRedis(): Promise<void> {
  const redis = new Redis(rig.engines.redisUrl);
  const schema = compileBlobSchema(FIELDS);
  const stamp = { eventTimeMs: Date.now(), ingestTimeMs: Date.now(), tieBreak: 0 };
  for (let i = 0; i < ENTITIES; i++)
    await redis.set(onlineKey('default', 'person', joinEntityKey([`e${i}`]), 'person'), encodeBlob(schema, row(), stamp));
  await redis.quit();
}

function payloadOf(kind: Kind): string {
  return join(rig.work, `${kind}.bin`);
}

function requests(kind: Kind): Uint8Array[] {
  if (kind === 'dense') return denseRequests('mlp', row);
  const writer = new ProtoWriter();
  return Array.from({ length: ENTITIES }, (_, i) => {
    encodePredictRequest({ model: 'mlp', entities: [`e${i}`] }, writer.reset());
    return Buffer.from(writer.finish());
  });
}

function environment(server: Row['server']): NodeJS.ProcessEnv {
  if (server === 'wire with traces') return { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, HEADRACE_TRACE_SAMPLE_RATIO: '1' };
  return { HEADRACE_GRPC_TRANSPORT: server };
}

function profile(server: Row['server']): string[] {
  return options.profile === '' ? [] : ['--cpu-prof', '--cpu-prof-dir', join(options.profile, server)];
}

function measure(kind: Kind, server: Server, seconds: number, callers = Number(options.callers)): Promise<Figures> {
  const path = '/headrace.serving.v1.Prediction/Predict';
  return load(rig, server, { path, payload: payloadOf(kind), callers, connections: 1, seconds });
}

function report(): void {
  const pairs = [
    ['wire', 'grpc-js'],
    ['wire', 'wire with traces'],
  ] as const;
  const find = (server: Row['server'], kind: Kind): Row => rows.find((one) => one.server === server && one.kind === kind)!;
  const ratios = pairs.flatMap(([ours, other]) =>
    KINDS.map((kind) => ({ ours, other, kind, ...compared(find(ours, kind), find(other, kind)) })),
  );
  for (const measured of rows) console.info(JSON.stringify(measured));
  console.info(`the first against the second, times better, ${options.callers} in flight on one connection`);
  for (const line of ratios) console.info(JSON.stringify(line));
  const setting = { callers: Number(options.callers), seconds: Number(options.seconds), runs: Number(options.runs) };
  writeFileSync(
    join(import.meta.dirname, 'results.json'),
    `${JSON.stringify({ date: new Date().toISOString(), machine: machine(), ...setting, rows, ratios }, null, 2)}\n`,
  );
}
