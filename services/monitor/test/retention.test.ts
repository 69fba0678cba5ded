import { outcomesObserved, predictionsLogged } from '@headrace/events/catalog';
import { eventually } from '@headrace/testkit/eventually';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { baselineOf, crowd, logOf, outcomesOf, specOf } from './people.js';
import { Site } from './site.js';

const at = { project: 'old', model: 'employment', version: 1 };
const FOUND = { 1: 0.9, 2: 0.9 } as const;

let site: Site;
beforeAll(async () => {
  site = await Site.open({
    predictionRetentionMs: 60_000,
    paneRetentionMs: 120_000,
    pendingRetentionMs: 2_000,
    pendingMax: 100,
    sweepEveryMs: 50,
  });
  site.registry.define('old', 'employment', specOf());
  site.registry.register(
    'old',
    'employment',
    1,
    ['DIS', 'SEX'],
    baselineOf(crowd({ seed: 1, rows: 1_000, fromMs: 0, spreadMs: 1, prefix: 'train', found: FOUND })),
  );
});
afterAll(() => site.close());

const fate = async (what: 'predictions' | 'outcomes', name: string): Promise<number> =>
  Number(
    (await site.metric(`headrace_monitor_${what}_total`))
      .find((line) => line.includes(`fate="${name}"`))
      ?.split(' ')
      .at(-1) ?? 0,
  );
const rows = async (table: string): Promise<number> =>
  (await site.postgres.query<{ n: number }>(`SELECT count(*) AS n FROM ${table}`))[0]!.n;

it('skips predictions older than the retention, so that a log that is read again cannot count what was swept', async () => {
  const now = Date.now();
  const [old, fresh] = [
    crowd({ seed: 2, rows: 50, fromMs: now - 300_000, spreadMs: 10, prefix: 'old', found: FOUND }),
    crowd({ seed: 3, rows: 70, fromMs: now - 10_000, spreadMs: 10, prefix: 'fresh', found: FOUND }),
  ];
  await site.events.publish(predictionsLogged, logOf([...old, ...fresh], at));
  await eventually('only the fresh ones count', async () => expect((await site.client.getReport(at)).predictions).toBe(70));
  expect([await fate('predictions', 'expired'), await fate('predictions', 'counted')]).toEqual([50, 70]);
});

it('removes predictions first and panes later', async () => {
  await site.postgres.execute('UPDATE prediction SET predicted_ms = predicted_ms - 61000');
  await eventually('predictions are gone', async () => expect(await rows('prediction')).toBe(0));
  expect((await site.client.getReport(at)).predictions).toBe(70);
  await site.postgres.execute('UPDATE pane SET pane_start_ms = pane_start_ms - 121000');
  await site.postgres.execute('UPDATE pane_group SET pane_start_ms = pane_start_ms - 121000');
  await eventually('panes are gone', async () => expect([await rows('pane'), await rows('pane_group')]).toEqual([0, 0]));
});

it('bounds the labels that wait for a prediction, by number and by time, and says how many it gave up', async () => {
  const unknown = crowd({ seed: 4, rows: 300, fromMs: Date.now() - 5_000, spreadMs: 10, prefix: 'never', found: FOUND });
  await site.events.publish(outcomesObserved, [{ project: 'old', outcomes: outcomesOf(unknown) }]);
  await eventually('the oldest went', async () => expect(await fate('outcomes', 'expired')).toBeGreaterThanOrEqual(200));
  expect(await fate('outcomes', 'pending')).toBe(300);
  await eventually('all went', async () => expect([await rows('pending_outcome'), await fate('outcomes', 'expired')]).toEqual([0, 300]));
});
