/**
 * `npm run build && node bench/feature-store/consistency.ts`: a million vectors as they are served, each recomputed from the offline store, while rows arrive out of order, late,
 * twice, and from a backfill beside the stream. Any value that differs, is missing or is there without a reason ends the run with 1 and is named.
 * Writes `consistency.results.json` with machine and date.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { seededRandom } from '@headrace/base/random';
import { FeatureRowsPublished } from '@headrace/contracts/events/v1/events';
import { BackfillsDefinition, FeatureStoreDefinition, type Definition } from '@headrace/contracts/features/v1/features';
import { FeatureHealthDefinition } from '@headrace/contracts/features/v1/health';
import { startEngines } from '@headrace/engines/start-engines';
import { cleanEngines } from '@headrace/engines/stop-engines';
import { featureRowsPublished } from '@headrace/events/catalog';
import type { OutgoingRecord } from '@headrace/events/envelope';
import { createClient } from '@headrace/platform/grpc/client';
import { KafkaClients } from '@headrace/platform/kafka/kafka-clients';
import { Log } from '@headrace/platform/log';
import type { Service } from '../kit.js';

// Node runs this file as it is, and the compiler of the repository wants other endings than Node.
const { cacheDir, definitionsOf, machine, startService, stop } = (await import(
  new URL('../kit.ts', import.meta.url).href
)) as typeof import('../kit.js');

const { values: options } = parseArgs({
  options: {
    vectors: { type: 'string', default: '1000000' },
    entities: { type: 'string', default: '50000' },
    rate: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '7' },
  },
});
const [wanted, entities, rate] = [options.vectors, options.entities, options.rate].map(Number) as [number, number, number];
const FEATURES = 10;
const VIEW = 'activity';
const ROWS_PER_EVENT = 20;
const BACKFILL_ROWS = 20_000;
/** Every event of a run lies within these days, in any order. */
const SPAN_MS = 30 * 86_400_000;

const random = seededRandom(Number(options.seed));
const log = Log.create('feature-store', 'silent', 'bench');
const work = mkdtempSync(join(tmpdir(), 'bench-consistency-'));
chmodSync(work, 0o755); // Postgres runs as another user when we are root
const engines = await startEngines({ stateDir: work, cacheDir });
try {
  report(await measure());
} finally {
  await cleanEngines(work);
  rmSync(work, { recursive: true, force: true });
}

interface Counts {
  readonly checked: number;
  readonly mismatched: number;
  readonly missing: number;
  readonly extra: number;
  readonly rowsSent: number;
  readonly rowsTwice: number;
  readonly seconds: number;
  readonly findings: readonly object[];
}

async function measure(): Promise<Counts> {
  const kafka = new KafkaClients({ brokers: engines.kafkaBrokers, client: 'auto', clientId: 'bench', topicPrefix: 'bench.' }, log);
  await kafka.admin().ensureTopics([featureRowsPublished as never]);
  const { child, grpc } = await startFeatureStore();
  const client = createClient(FeatureStoreDefinition, grpc);
  const health = createClient(FeatureHealthDefinition, grpc, { defaultTimeoutMs: 120_000 });
  const backfills = createClient(BackfillsDefinition, grpc);
  try {
    await client.apply({ definitions: definitions() });
    const sent = { rows: 0, twice: 0, isOver: false };
    const publishing = publish(kafka, sent);
    writeFileSync(join(work, 'backfill/old.csv'), backfillFile());
    await backfills.startBackfill({ view: VIEW, source: { $case: 'file', value: { path: 'old.csv' } }, rowsPerSecond: 2_000 });
    const startedAt = performance.now();
    const sum = { checked: 0, mismatched: 0, missing: 0, extra: 0 };
    const findings: object[] = [];
    while (sum.checked < wanted && findings.length === 0) {
      const { views, findings: found } = await health.inspect({ view: VIEW });
      const [view] = views;
      sum.checked += view?.checked ?? 0;
      for (const feature of view?.features ?? []) {
        sum.mismatched += feature.mismatched;
        sum.missing += feature.missing;
        sum.extra += feature.extra;
      }
      if (sum.mismatched + sum.missing + sum.extra > 0) findings.push(...found);
      if (process.stderr.isTTY) process.stderr.write(`\r${sum.checked} vectors checked, ${sent.rows} rows sent `);
    }
    const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
    sent.isOver = true;
    await publishing;
    return { ...sum, rowsSent: sent.rows, rowsTwice: sent.twice, seconds, findings };
  } finally {
    for (const one of [client, health, backfills]) one.close();
    await stop(child);
    await kafka.close();
  }
}

/** At the rate, until it is over. A fifth of the events come again some time later. */
async function publish(kafka: KafkaClients, sent: { rows: number; twice: number; isOver: boolean }): Promise<void> {
  const producer = kafka.hotProducer();
  const again: OutgoingRecord[] = [];
  const startedAt = performance.now();
  while (!sent.isOver) {
    const due = ((performance.now() - startedAt) / 1_000) * rate;
    const records: OutgoingRecord[] = [];
    while (sent.rows < due) {
      const isAgain = again.length > 50 && random() < 0.2;
      const record = isAgain ? again.splice(Math.floor(random() * again.length), 1)[0]! : eventOf();
      if (isAgain) sent.twice += ROWS_PER_EVENT;
      else if (random() < 0.3) again.push(record);
      records.push(record);
      sent.rows += ROWS_PER_EVENT;
    }
    if (records.length > 0) await producer.send(records);
    await sleep(20);
  }
}

function eventOf(): OutgoingRecord {
  const rows = Array.from({ length: ROWS_PER_EVENT }, rowOf);
  const value = FeatureRowsPublished.encode({ project: 'default', view: VIEW, rows }).finish();
  // Rows of one entity travel under different keys, so over different partitions: no order is left.
  return {
    topic: featureRowsPublished.topic,
    key: `k${Math.floor(random() * 1_000)}`,
    value,
    headers: { 'content-type': 'application/protobuf' },
  };
}

function rowOf(): { entity: { person_id: string }; eventTime: Date; values: Record<string, number | null> } {
  // Whole minutes, so that ties happen.
  const eventTime = new Date(Math.floor((Date.now() - random() * SPAN_MS) / 60_000) * 60_000);
  const values = Object.fromEntries(
    Array.from({ length: FEATURES }, (_, f) => [`f${f}`, random() < 0.02 ? null : Math.floor(random() * 1_000_000) / 8]),
  );
  return { entity: { person_id: `p${Math.floor(random() * entities)}` }, eventTime, values };
}

function backfillFile(): string {
  const names = Array.from({ length: FEATURES }, (_, f) => `f${f}`);
  const lines = Array.from({ length: BACKFILL_ROWS }, () => {
    const { entity, eventTime, values } = rowOf();
    return [entity.person_id, eventTime.toISOString(), ...names.map((name) => values[name] ?? '')].join(',');
  });
  return [['person_id', 'event_time', ...names].join(','), ...lines].join('\n');
}

function startFeatureStore(): Promise<Service> {
  mkdirSync(join(work, 'backfill'));
  return startService('feature-store', {
    env: {
      HEADRACE_KAFKA_BROKERS: engines.kafkaBrokers.join(','),
      HEADRACE_TOPIC_PREFIX: 'bench.',
      HEADRACE_POSTGRES_URL: engines.postgresUrl,
      HEADRACE_REDIS_URL: engines.redisUrl,
      HEADRACE_STATE: join(work, 'service'),
      HEADRACE_LOG_LEVEL: 'warn',
      HEADRACE_FEATURES_BACKFILL_FOLDER: join(work, 'backfill'),
      // Only ours, and as many entities at once as may be.
      HEADRACE_FEATURES_INSPECT_EVERY: '86400000',
      HEADRACE_FEATURES_INSPECT_SAMPLE: '10000',
    },
  });
}

function definitions(): Definition[] {
  const features = Array.from({ length: FEATURES }, (_, i) => `  - { name: f${i}, type: float64 }`).join('\n');
  const yaml = `kind: Entity\nname: person\njoinKeys: [person_id]\n---\nkind: FeatureView\nname: ${VIEW}\nentity: person\nfeatures:\n${features}\n`;
  return definitionsOf(yaml);
}

function report({ findings, ...counts }: Counts): void {
  const result = {
    date: new Date().toISOString(),
    machine: machine(),
    entities,
    features: FEATURES,
    seed: Number(options.seed),
    backfilledRows: BACKFILL_ROWS,
    ...counts,
  };
  console.table([counts]);
  for (const finding of findings.slice(0, 20)) console.log(JSON.stringify(finding));
  if (findings.length > 0) process.exitCode = 1;
  else writeFileSync(join(import.meta.dirname, 'consistency.results.json'), `${JSON.stringify(result, null, 2)}\n`);
}
