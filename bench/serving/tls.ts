/**
 * `npm run build && node bench/serving/tls.ts`: what TLS costs a Predict. The built serving service twice, in plain text and over TLS 1.3, both on core 0 with deadlines, metrics,
 * admission and the prediction log on, loaded turn about from core 1 by 64 calls in flight on one connection. Writes `tls.json` with machine and date.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { seededRandom } from '@headrace/base/random';
import { TestAuthority } from '@headrace/testkit/certificates';
import type { Server } from './rig.js';

// Node runs this file as it is, and the compiler of the repository wants other endings than Node.
const { machine, ratio, savePayload, stop } = (await import(new URL('../kit.ts', import.meta.url).href)) as typeof import('../kit.js');
const { denseRequests, load, openRig, rowsOf, saveModels, startServing, turnAbout } = (await import(
  new URL('./rig.ts', import.meta.url).href
)) as typeof import('./rig.js');
const { makeMlp } = (await import(new URL('./mlp.ts', import.meta.url).href)) as typeof import('./mlp.js');
const { makeTrees } = (await import(new URL('./trees.ts', import.meta.url).href)) as typeof import('./trees.js');

const { values: options } = parseArgs({ options: { seconds: { type: 'string', default: '2' }, runs: { type: 'string', default: '3' } } });
const MODELS = ['mlp', 'trees'] as const;

const loadAverageAtStart = loadavg()[0];
const random = seededRandom(7);
const row = rowsOf(random);
const rig = await openRig();
const results: Record<string, unknown>[] = [];
const servers: Server[] = [];
try {
  saveModels(join(rig.work, 'state'), { mlp: makeMlp(random), trees: makeTrees(random) }, row);
  for (const model of MODELS) savePayload(payloadOf(model), denseRequests(model, row));
  servers.push(await startServing(rig, 'plain', {}), await startServing(rig, 'tls', certificates()));
  for (const model of MODELS) {
    const wanted = {
      path: '/headrace.serving.v1.Prediction/Predict',
      payload: payloadOf(model),
      callers: 64,
      connections: 1,
      timeoutMs: 1_000,
    };
    for (const server of servers) await load(rig, server, { ...wanted, seconds: 2 });
    const [plain, tls] = await turnAbout(
      Number(options.runs),
      servers.map((server) => () => load(rig, server, { ...wanted, seconds: Number(options.seconds) })),
    );
    const tlsAgainstPlain = {
      throughput: ratio(tls!.requestsPerSecond, plain!.requestsPerSecond),
      serverCpu: ratio(tls!.serverCpuUs, plain!.serverCpuUs),
      p50: ratio(tls!.p50Ms, plain!.p50Ms),
      p99: ratio(tls!.p99Ms, plain!.p99Ms),
    };
    results.push({ model, plain, tls, tlsAgainstPlain });
    console.info(model, { plain, tls, tlsAgainstPlain });
  }
} finally {
  for (const { child } of servers) await stop(child);
  await rig.close();
}
writeFileSync(
  join(import.meta.dirname, 'tls.json'),
  `${JSON.stringify({ date: new Date().toISOString(), machine: { ...machine(), loadAverageAtStart }, seconds: Number(options.seconds), runs: Number(options.runs), callers: 64, connections: 1, results }, null, 2)}\n`,
);

function payloadOf(model: string): string {
  return join(rig.work, `${model}.bin`);
}

/** An authority of this run, and a certificate of P-256 for the service. */
function certificates(): NodeJS.ProcessEnv {
  const folder = join(rig.work, 'tls');
  mkdirSync(folder);
  const authority = new TestAuthority('bench');
  const { cert, key } = authority.issue();
  const files = { HEADRACE_TLS_CA_FILE: authority.cert, HEADRACE_TLS_CERT_FILE: cert, HEADRACE_TLS_KEY_FILE: key };
  return Object.fromEntries(
    Object.entries(files).map(([variable, pem]) => {
      const path = join(folder, variable);
      writeFileSync(path, pem, { mode: 0o600 });
      return [variable, path];
    }),
  );
}
