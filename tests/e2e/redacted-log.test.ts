import { seededRandom } from '@headrace/base/random';
import type { OutcomesObserved } from '@headrace/contracts/events/v1/events';
import { outcomesObserved, trainingRequested } from '@headrace/events/catalog';
import { Site } from '@headrace/monitor/test/site';
import { Harness } from '@headrace/serving/test/harness';
import { VIEWS } from '@headrace/serving/test/peers';
import { eventually } from '@headrace/testkit/eventually';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** Both stand nowhere else, as text and as float32. */
const SEXES = ['sex-known-as-x', 'sex-known-as-y'] as const;
const SECRET_A = 0.012345679;
const PEOPLE = 1_200;
/** Share of those who have the outcome that the model finds. */
const FOUND = [0.3, 0.9];

/** `a` would have drifted, and `sex` too, if anyone could see them. */
const BASELINE = {
  features: [
    { ...numeric('a', [5, 10]), counts: [0, 500, 500] },
    { ...numeric('b', [0.5]), counts: [500, 500] },
    { name: 'sex', kind: 'categorical', categories: ['f', 'm'], counts: [500, 500], nulls: 0 },
  ],
  scores: { ...numeric('score', [0.5]), counts: [400, 600] },
};

const SPEC = {
  entity: 'person',
  features: ['person:a', 'person:b', 'account:c'],
  label: { view: 'employment', feature: 'employed' },
  protected: ['person:sex'],
  trainingWindow: { from: '2015-01-01T00:00:00Z', to: '2016-01-01T00:00:00Z' },
  monitor: {
    ...{ pane: '1s', panesPerWindow: 60, minSamples: 500, minGroupSize: 30, persistence: { k: 1, n: 1 } },
    bias: [{ attribute: 'sex', ceiling: 0.2 }],
  },
  retrain: { on: ['bias', 'drift'], mitigation: 'reweighing', cooldown: '10m' },
};

let serving: Harness;
let monitor: Site;
beforeAll(async () => {
  serving = await Harness.start({ logHashKey: 'the key of this very test' });
  monitor = await Site.open({ topicPrefix: serving.config.topicPrefix! });
  await monitor.listen(trainingRequested.topic, trainingRequested as never);
  monitor.registry.define('default', 'm', SPEC);
  monitor.registry.register('default', 'm', 1, ['sex'], BASELINE);
  const { person } = VIEWS;
  serving.peers.views = { ...VIEWS, person: { ...person, features: person.features.map((one) => ({ ...one, pii: one.name !== 'b' })) } };
  serving.peers.addLogistic('m', 1, 0);
  await serving.serve('m', 1);
});
afterAll(async () => {
  await monitor?.close();
  await serving?.close();
});

describe('features marked pii, from the prediction to the alert', () => {
  it('are in clear nowhere, and the bias of a hidden attribute is found all the same', async () => {
    const random = seededRandom(3);
    const people = Array.from({ length: PEOPLE }, (_, i) => ({ group: i % 2, isFound: random() < FOUND[i % 2]! }));
    await serving.client.predict({
      ...{ model: 'm', predictionId: 'p' },
      columns: {
        a: people.map(() => SECRET_A),
        b: people.map((_, i) => (i >> 1) % 2),
        c: people.map(({ isFound }) => (isFound ? 3 : -3)),
        sex: people.map(({ group }) => SEXES[group]!),
      },
    });
    const report = () => monitor.client.getReport({ project: 'default', model: 'm', version: 1 });
    await eventually('all predictions are counted', async () => (await report()).predictions === PEOPLE, { withinMs: 30_000 });
    const outcomes: OutcomesObserved = {
      project: 'default',
      outcomes: people.map((_, i) => ({ predictionId: `p/${i}`, label: 1, observedAt: new Date() })),
    };
    await monitor.events.publish(outcomesObserved, [outcomes]);
    await eventually('all labels are joined', async () => (await report()).labelled === PEOPLE, { withinMs: 30_000 });
    const [asked] = await eventually(
      'a retraining is asked for',
      () => {
        const events = monitor.heardOf(trainingRequested, 'default');
        return events.length > 0 && events;
      },
      { withinMs: 30_000 },
    );
    expect(asked!.event.mitigation).toMatchObject({ attribute: 'sex' });

    const { alerts } = await monitor.client.listAlerts({ project: 'default', model: 'm' });
    expect(alerts.map(({ kind, subject }) => `${kind} of ${subject}`)).toEqual(['bias of sex']);
    const rateOf = (group: number): number => {
      const own = people.filter((one) => one.group === group);
      return own.filter(({ isFound }) => isFound).length / own.length;
    };
    expect(alerts[0]!.value).toBeCloseTo(rateOf(1) - rateOf(0), 12);
    expect(alerts[0]!.groups.map(({ truePositiveRate }) => truePositiveRate).sort()).toEqual([rateOf(0), rateOf(1)].sort());

    const { redacted, drift } = await report();
    expect(redacted).toEqual([
      { column: 'a', redaction: 'omit', predictions: PEOPLE },
      { column: 'sex', redaction: 'hash', predictions: PEOPLE },
    ]);
    expect([...new Set(drift.map(({ column }) => column))].sort()).toEqual(['b', 'score']);

    const kept = Buffer.concat([...serving.loggedBytes, await everythingKept(monitor)]);
    expect(kept.includes('p/17')).toBe(true);
    for (const secret of [...SEXES, String(SECRET_A), Buffer.from(Float32Array.of(SECRET_A).buffer)])
      expect(kept.includes(secret)).toBe(false);
  });
});

function numeric(name: string, edges: readonly number[]): object {
  return { name, kind: 'numeric', edges, nulls: 0, mean: 1, std: 1, min: 0, max: 20 };
}

/** Every row of every table of the monitor, as text. */
async function everythingKept({ postgres }: Site): Promise<Buffer> {
  const tables = await postgres.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`,
  );
  const rows = await Promise.all(tables.map(({ name }) => postgres.query<{ row: string }>(`SELECT t::text AS row FROM "${name}" t`)));
  return Buffer.from(
    rows
      .flat()
      .map(({ row }) => row)
      .join('\n'),
  );
}
