import type { PredictionsLogged } from '@headrace/contracts/events/v1/events';
import { AlertState } from '@headrace/contracts/monitoring/v1/monitoring';
import { outcomesObserved, predictionsLogged } from '@headrace/events/catalog';
import { eventually } from '@headrace/testkit/eventually';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { baselineOf, bruteForce, chunks, crowd, logOf, outcomesOf, specOf } from './people.js';
import { Site } from './site.js';

const ROWS = 70_000;
const EXTRA_COLUMNS = 14;

let site: Site;
beforeAll(async () => {
  site = await Site.open({ judgeEveryMs: 1_000 });
});
afterAll(() => site.close());

it(`ingests ${ROWS} predictions of 17 columns and their labels in bulk, exactly, and judges often enough on the way for k of n`, async () => {
  const project = 'bulk';
  const usual = baselineOf(crowd({ seed: 1, rows: 20_000, fromMs: 0, spreadMs: 1, prefix: 'train', found: { 1: 0.9, 2: 0.9 } })) as {
    features: object[];
  };
  const extra = (name: string) => ({ ...(usual.features[0] as object), name });
  site.registry.define(
    project,
    'employment',
    specOf({ monitor: { pane: '2s', panesPerWindow: 30, minSamples: 2_000, minGroupSize: 100 } }),
  );
  site.registry.register(project, 'employment', 1, ['DIS', 'SEX'], {
    ...usual,
    features: [...usual.features, ...Array.from({ length: EXTRA_COLUMNS }, (_, i) => extra(`F${i}`))],
  });

  const people = crowd({ seed: 8, rows: ROWS, fromMs: Date.now() - 20_000, spreadMs: 12_000, prefix: 'b', found: { 1: 0.31, 2: 0.9 } });
  const wide = (batch: PredictionsLogged): PredictionsLogged => ({
    ...batch,
    columns: [...batch.columns, ...Array.from({ length: EXTRA_COLUMNS }, (_, i) => ({ ...batch.columns[0]!, name: `F${i}` }))],
  });
  const log = logOf(people, { project, model: 'employment', version: 1 }, 250).map(wide);
  await site.events.publish(predictionsLogged, log);
  const seconds: Record<string, number> = {};
  const cpu = process.cpuUsage();
  const timed = async (what: string, work: () => Promise<unknown>) => {
    const begin = performance.now();
    await work();
    seconds[what] = (performance.now() - begin) / 1000;
  };
  const report = () => site.client.getReport({ project, model: 'employment', version: 1 });
  await timed('predictions after their publication', () =>
    eventually('predictions', async () => (await report()).predictions === ROWS, { withinMs: 60_000, everyMs: 100 }),
  );
  const labels = chunks(outcomesOf(people), 500).map((outcomes) => ({ project, outcomes }));
  await timed('labels published and joined', async () => {
    await site.events.publish(outcomesObserved, labels);
    await eventually('labels', async () => (await report()).labelled === ROWS, { withinMs: 60_000, everyMs: 100 });
  });
  const used = process.cpuUsage(cpu);
  console.info(
    `bulk of ${ROWS}: ${Object.entries(seconds)
      .map(([what, s]) => `${what} ${s.toFixed(1)} s`)
      .join(', ')}; CPU of this process ${((used.user + used.system) / 1e6).toFixed(1)} s`,
  );

  const truth = bruteForce(people, 'DIS');
  const { accuracy, attributes } = await report();
  expect(accuracy).toBeCloseTo(truth.accuracy, 12);
  expect(attributes[0]!.equalOpportunityDifference).toBeCloseTo(truth.gap, 12);
  // All labels came at once, and yet in more than one judgement.
  const alert = await eventually(
    'acted',
    async () => (await site.client.listAlerts({ project, model: 'employment' })).alerts.find((a) => a.state === AlertState.ACTED) ?? false,
  );
  expect(alert.subject).toBe('DIS');
});
