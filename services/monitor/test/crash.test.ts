import { MonitorDefinition } from '@headrace/contracts/monitoring/v1/monitoring';
import { AlertState } from '@headrace/contracts/monitoring/v1/monitoring';
import { outcomesObserved, predictionsLogged } from '@headrace/events/catalog';
import { createClient } from '@headrace/platform/grpc/client';
import { eventually } from '@headrace/testkit/eventually';
import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { baselineOf, bruteForce, chunks, crowd, logOf, outcomesOf, specOf } from './people.js';
import { Site } from './site.js';

const ROWS = 36_000;
const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));

interface Process {
  readonly grpc: string;
  kill(): Promise<void>;
}

let site: Site;
let running: ChildProcess | undefined;
beforeAll(async () => {
  site = await Site.open();
  await site.stop(); // this time the monitor is a process of its own
});
afterAll(async () => {
  running?.kill('SIGKILL');
  await site.close();
});

/** The built service, as an operator starts it. */
function startProcess(): Promise<Process> {
  const { kafkaBrokers, topicPrefix, postgresUrl, registryGrpc } = site.overrides;
  const env = {
    HEADRACE_HTTP_PORT: '0',
    HEADRACE_GRPC_PORT: '0',
    HEADRACE_KAFKA_BROKERS: kafkaBrokers!.join(','),
    HEADRACE_TOPIC_PREFIX: topicPrefix!,
    HEADRACE_POSTGRES_URL: postgresUrl!,
    HEADRACE_REGISTRY_GRPC: registryGrpc!,
    HEADRACE_LOG_LEVEL: 'error',
  };
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    running = child;
    const exited = new Promise<void>((done) => child.once('exit', () => done()));
    const kill = (): Promise<void> => (child.kill('SIGKILL'), exited);
    child.once('exit', (code) => reject(new Error(`the monitor ended with ${code}; is it built? (npm run build)`)));
    child.stdout.once('data', (line: Buffer) => resolve({ kill, grpc: (JSON.parse(line.toString()) as { grpc: string }).grpc }));
  });
}

it('counts every prediction and label once although the process is killed twice in the middle of them', async () => {
  const at = { project: 'crash', model: 'employment', version: 1 };
  const found = { 1: 0.31, 2: 0.9 } as const;
  site.registry.define(at.project, at.model, specOf());
  site.registry.register(
    at.project,
    at.model,
    1,
    ['DIS', 'SEX'],
    baselineOf(crowd({ seed: 1, rows: 5_000, fromMs: 0, spreadMs: 1, prefix: 'train', found })),
  );
  const people = crowd({ seed: 5, rows: ROWS, fromMs: Date.now() - 20_000, spreadMs: 8_000, prefix: 'c', found });
  for (const part of chunks(people, 2_000)) {
    await Promise.all([
      site.events.publish(predictionsLogged, logOf(part, at)),
      site.events.publish(outcomesObserved, [{ project: at.project, outcomes: outcomesOf(part) }]),
    ]);
  }

  const stored = async (): Promise<number> => (await site.postgres.query<{ n: number }>('SELECT count(*) AS n FROM prediction'))[0]!.n;
  let process = await startProcess();
  for (const rows of [1, 15_000]) {
    const atKill = await eventually(`${rows} rows are in`, async () => ((await stored()) >= rows ? stored() : false), {
      withinMs: 60_000,
      everyMs: 2,
    });
    await process.kill();
    expect(atKill).toBeLessThan(ROWS);
    process = await startProcess();
  }

  const client = createClient(MonitorDefinition, process.grpc);
  const report = await eventually(
    'all are counted',
    async () => {
      const now = await client.getReport(at);
      expect([now.predictions, now.labelled]).toEqual([ROWS, ROWS]);
      return now;
    },
    { withinMs: 90_000, everyMs: 200 },
  );
  const truth = bruteForce(people, 'DIS');
  expect(report.accuracy).toBeCloseTo(truth.accuracy, 12);
  expect(report.attributes[0]!.equalOpportunityDifference).toBeCloseTo(truth.gap, 12);
  expect((await site.postgres.query<{ n: number }>('SELECT sum(predictions) AS n FROM pane'))[0]!.n).toBe(ROWS);
  const alerts = await eventually('it acted', async () => {
    const { alerts: all } = await client.listAlerts({ project: at.project });
    return all.some((alert) => alert.state === AlertState.ACTED) && all;
  });
  expect(alerts).toHaveLength(1);
  client.close();
  await process.kill();
}, 180_000);
