/**
 * `npm run build && node bench/serving/own-code.ts`: what our own code costs a Predict without network, model and Kafka: decode, route, admit, batch, encode, account and log.
 * One process and one thread; the steadiest figure there is for a change of that code. Writes `own-code.json`.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { seededRandom } from '@headrace/base/random';
import { ProtoWriter } from '@headrace/codec/writer';
import type { PredictReplies, PredictJob, ServedModel } from '../../services/serving/src/domain/predict-job.js';

// Node runs this file as it is, and the compiler of the repository wants other endings than Node.
const { machine } = (await import(new URL('../kit.ts', import.meta.url).href)) as typeof import('../kit.js');
const { denseRequests, FIELDS, rowsOf } = (await import(new URL('./rig.ts', import.meta.url).href)) as typeof import('./rig.js');
/** The service as it is built. */
const built = async <T>(path: string): Promise<T> => (await import(new URL(`../../${path}.js`, import.meta.url).href)) as T;
const { Predictor } = await built<typeof import('../../services/serving/src/app/predictor.js')>('services/serving/dist/app/predictor');
const { RouteFinder } = await built<typeof import('../../services/serving/src/app/route-finder.js')>(
  'services/serving/dist/app/route-finder',
);
const { RoutingTable } = await built<typeof import('../../services/serving/src/domain/routing-table.js')>(
  'services/serving/dist/domain/routing-table',
);
const { Admission } = await built<typeof import('../../services/serving/src/domain/admission.js')>(
  'services/serving/dist/domain/admission',
);
const { PredictionIds } = await built<typeof import('../../services/serving/src/domain/prediction-ids.js')>(
  'services/serving/dist/domain/prediction-ids',
);
const { ShadowBook } = await built<typeof import('../../services/serving/src/domain/shadow-statistics.js')>(
  'services/serving/dist/domain/shadow-statistics',
);
const { ModelStatistics } = await built<typeof import('../../services/serving/src/domain/model-statistics.js')>(
  'services/serving/dist/domain/model-statistics',
);
const { LoadedModel } = await built<typeof import('../../services/serving/src/domain/loaded-model.js')>(
  'services/serving/dist/domain/loaded-model',
);
const { BatchLane } = await built<typeof import('../../services/serving/src/domain/batch-lane.js')>(
  'services/serving/dist/domain/batch-lane',
);
const { RunWatch } = await built<typeof import('../../services/serving/src/domain/run-watch.js')>('services/serving/dist/domain/run-watch');
const { PredictionLog } = await built<typeof import('../../services/serving/src/io/prediction-log.js')>(
  'services/serving/dist/io/prediction-log',
);
const { compileInputPlan } = await built<typeof import('../../libs/executor/src/input-plan.js')>('libs/executor/dist/input-plan');

const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '80' } } });
/** Rows of a round: long enough for the clock, short enough that some rounds meet no pause. */
const ROUND_ROWS = 40_000;
/** Requests that one turn of the event loop brings. */
const TURN_REQUESTS = 64;
/** While V8 compiles. */
const WARM_ROUNDS = 20;
/** Headers of a call as a client sends them. */
const HEADERS = ['te', ':path', 'content-type', 'grpc-timeout', 'user-agent'];

const row = rowsOf(seededRandom(7));
const results: { rows: number; log: boolean; usPerRequest: { least: number; median: number } }[] = [];
for (const rows of [1, 32]) {
  for (const log of [true, false]) {
    results.push({ rows, log, usPerRequest: await measure(rows, log) });
    console.info(JSON.stringify(results.at(-1)));
  }
}
writeFileSync(
  join(import.meta.dirname, 'own-code.json'),
  `${JSON.stringify({ date: new Date().toISOString(), machine: machine(), rounds: Number(options.rounds), results }, null, 2)}\n`,
);

async function measure(rows: number, isLogged: boolean): Promise<{ least: number; median: number }> {
  const log = openLog(isLogged ? 1 : 0);
  const predictor = openPredictor(log);
  const out = new ProtoWriter(1 << 16);
  const replies: PredictReplies = {
    ok: (_, encode, value) => encode(value, out),
    fail: (_, error) => {
      throw error;
    },
    isGone: () => false,
    flush: () => out.reset(),
    headerOf: (_, name) => (HEADERS.includes(name) ? 'here' : ''),
  };
  const requests = denseRequests('mlp', row, rows);
  // In one buffer, as a socket is read.
  const bytes = Buffer.concat(requests);
  const starts = [0];
  for (const request of requests) starts.push(starts.at(-1)! + request.length);
  const turn = Math.min(TURN_REQUESTS, Math.floor(128 / rows));
  const perRound = Math.floor(ROUND_ROWS / rows);
  const rounds: number[] = [];
  for (let round = 0; round < Number(options.rounds); round++) {
    const startedAt = performance.now();
    for (let i = 0; i < perRound;) {
      for (let end = Math.min(i + turn, perRound); i < end; i++) {
        const at = i % requests.length;
        predictor.submit(bytes, starts[at]!, starts[at + 1]!, i, Infinity, replies);
      }
      predictor.tick();
      out.reset();
    }
    rounds.push(((performance.now() - startedAt) * 1000) / perRound);
    // The log's send goes on here.
    await new Promise((resolve) => setImmediate(resolve));
  }
  await log.close();
  const { answered, logged, sampledOut } = log.account;
  const expected = perRound * rows * Number(options.rounds);
  if (answered !== expected || (isLogged ? logged : sampledOut) !== expected)
    throw new Error(`${expected} rows were asked; ${JSON.stringify(log.account)}`);
  const sorted = rounds.slice(WARM_ROUNDS).sort((a, b) => a - b);
  return { least: rounded(sorted[0]!), median: rounded(sorted[sorted.length >> 1]!) };
}

/** With a producer that takes all and sends nothing. */
function openLog(sampleRate: number): InstanceType<typeof PredictionLog> {
  const limits = { flushMs: 200, batchRows: 2_000, pendingRowsMax: 1_000_000, closeMs: 1_000 };
  const producer = { send: () => Promise.resolve(), close: () => Promise.resolve() };
  return new PredictionLog({ instance: 'bench', sampleRate, ...limits }, () => producer, {
    warn: console.warn,
    info: () => undefined,
  });
}

/** One champion, whose runs answer at once with the same scores. */
function openPredictor(log: InstanceType<typeof PredictionLog>): InstanceType<typeof Predictor> {
  const signature = FIELDS.map(({ name, type }) => ({ name, reference: `person:${name}`, type }));
  const plan = compileInputPlan(signature, []);
  const scores = new Float32Array(4096).fill(0.7);
  const model: ServedModel = new LoadedModel<PredictJob>('default', 'mlp', 1, '', new ModelStatistics('default', 'mlp', 1));
  const tensors = { inputs: [], outputs: [], isRowWise: false, run: () => [] };
  const session = { run: () => scores, release: () => undefined, retire: () => undefined, tensors };
  model.step('start');
  model.stand({
    session,
    tensors,
    watch: new RunWatch('here', 2, () => performance.now()),
    runtime: { name: 'onnxruntime', reason: '' },
    open: () => Promise.reject(new Error('it stays where it is')),
    isPredictable: true,
    lane: new BatchLane(plan, 128),
    plan,
    threshold: 0.5,
    lookup: undefined,
    missingFeatures: 'null',
    defaults: [],
  });
  const routes = new RouteFinder();
  routes.table = RoutingTable.empty<ServedModel>().withChampion(model);
  return new Predictor({
    routes,
    admission: new Admission(100_000, 1_000_000),
    ids: new PredictionIds(new Uint8Array(5)),
    store: { getBuffers: () => Promise.reject(new Error('nothing is looked up')) },
    log,
    unrouted: new ModelStatistics('', '', 0),
    shadows: new ShadowBook(),
    lookedUp: () => undefined,
    refreshViews: () => Promise.resolve(false),
    nowMs: () => Date.now(),
    after: () => undefined,
  });
}

function rounded(us: number): number {
  return Math.round(us * 1000) / 1000;
}
