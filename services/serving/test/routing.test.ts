import type { Route } from '@headrace/contracts/serving/v1/serving';
import { VersionState } from '@headrace/contracts/registry/v1/registry';
import { eventually } from '@headrace/testkit/eventually';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Harness, TRANSPORTS } from './harness.js';
import { biased, goldenFor, logistic } from './peers.js';
import { PredictClient } from './predict-client.js';

const BIASES = [0, -1.5, 0.75, 2] as const;

describe.each(TRANSPORTS)('routing of serving over %s', (grpcTransport) => {
  let h: Harness;

  beforeAll(async () => {
    h = await Harness.start({ grpcTransport });
    for (const version of [1, 2, 3]) h.peers.addLogistic('m', version, BIASES[version]!);
    await h.serve('m', 1);
    for (const version of [2, 3]) await h.admin.loadVersion({ model: 'm', version });
  });
  afterAll(() => h.close());

  const setRoute = (route: Partial<Route>, reason = ''): Promise<Route> =>
    h.admin.setRoute({ route: { project: '', model: 'm', champion: 0, loaded: [], ...route }, reason });
  const canary = (version: number, percent: number, salt = ''): Partial<Route> => ({
    traffic: { $case: 'canary', value: { version, percent, salt } },
  });
  const split = (...arms: [string, number, number][]): Partial<Route> => ({
    traffic: { $case: 'split', value: { arms: arms.map(([name, version, weight]) => ({ name, version, weight })), salt: '' } },
  });
  /** Arm and version for each of many keys. */
  const routed = async (keys: number): Promise<string[]> => {
    const answers = await Promise.all(
      Array.from({ length: keys }, (_, i) => h.client.predict({ model: 'm', dense: [[1, 2, 3]], predictionId: `key-${i}` })),
    );
    for (const { version, rows } of answers) expect(rows[0]!.score).toBeCloseTo(logistic(1, 2, 3, BIASES[version]!), 5);
    return answers.map(({ arm, version }) => `${arm}/${version}`);
  };
  const share = (answers: readonly string[], who: string): number => answers.filter((one) => one === who).length / answers.length;

  it('sends a percentage of the keys to a canary, always the same ones, and more of them as it grows', async () => {
    const route = await setRoute(canary(2, 20), 'first step');
    expect(route).toMatchObject({ project: 'default', model: 'm', champion: 1, loaded: [1, 2, 3], ...canary(2, 20) });
    const first = await routed(400);
    expect(share(first, 'canary/2')).toBeGreaterThan(0.13);
    expect(share(first, 'canary/2')).toBeLessThan(0.28);
    expect(await routed(400)).toEqual(first);
    await setRoute(canary(2, 60));
    const second = await routed(400);
    expect(first.every((who, i) => who !== 'canary/2' || second[i] === 'canary/2')).toBe(true);
    expect(share(second, 'canary/2')).toBeGreaterThan(0.5);
    await eventually('the change is published', () =>
      expect(h.rollouts.filter((r) => r.step === 'routed').map((r) => [r.version, r.previousVersion, r.detail])).toEqual([
        [2, 1, '20% to version 2 as canary, the others to the champion (first step)'],
        [2, 1, '60% to version 2 as canary, the others to the champion'],
      ]),
    );
  });

  it('splits by weight and logs each arm under its name', async () => {
    await setRoute(split(['control', 1, 1], ['treatment', 3, 3]));
    const answers = await routed(400);
    expect(share(answers, 'treatment/3')).toBeGreaterThan(0.66);
    expect(share(answers, 'control/1') + share(answers, 'treatment/3')).toBe(1);
    await eventually('the log tells of both arms', () => {
      const arms = new Set(h.logged.map((batch) => `${batch.arm}/${batch.version}`));
      expect([...arms]).toEqual(expect.arrayContaining(['control/1', 'treatment/3', 'champion/1', 'canary/2']));
    });
  });

  it('obeys the metadata of a call', async () => {
    await setRoute(canary(2, 0));
    const ask = async (metadata: Record<string, string>): Promise<string> => {
      const client = PredictClient.overWire(h.service.grpcAddress, metadata);
      try {
        const { arm, version } = await client.predict({ model: 'm', dense: [[1, 2, 3]] });
        return `${arm}/${version}`;
      } finally {
        client.close();
      }
    };
    expect(await ask({})).toBe('champion/1');
    expect(await ask({ 'headrace-version': '3' })).toBe('pinned/3');
    expect(await ask({ 'headrace-arm': 'canary' })).toBe('canary/2');
    await expect(ask({ 'headrace-arm': 'blue' })).rejects.toThrow(/headrace-arm is "blue"/);
    const overHttp = await fetch(`${h.service.httpUrl}/predict`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'headrace-version': '3' },
      body: JSON.stringify({ model: 'm', rows: [[1, 2, 3]] }),
    });
    expect(await overHttp.json()).toMatchObject({ arm: 'pinned', version: 3 });
  });

  it('copies to a shadow, whose answers nobody gets, and tells how they differ', async () => {
    await setRoute({ shadow: { version: 3, percent: 100 } });
    const answers = await routed(50);
    expect(new Set(answers)).toEqual(new Set(['champion/1']));
    const comparison = await eventually('all copies are compared', async () => {
      const found = (await h.admin.getStatistics({ project: '', model: 'm' })).shadows.find((one) => one.primaryVersion === 1)!;
      expect(found.requests + found.skipped).toBe(50);
      return found;
    });
    // Both scores lie above the threshold, so that every label agrees; and each difference is the same.
    expect(comparison).toMatchObject({ shadowVersion: 3, rows: comparison.requests, failures: {} });
    const difference = logistic(1, 2, 3, BIASES[3]) - logistic(1, 2, 3, BIASES[1]);
    expect(comparison.scoreDifference!.sum / comparison.rows).toBeCloseTo(difference, 4);
    expect(comparison.agreed).toBe(comparison.rows);
    await eventually('the log has the copies beside the answers', () => {
      const ids = h.logged.filter((batch) => batch.arm === 'shadow').flatMap((batch) => batch.predictionIds);
      expect(ids).toHaveLength(comparison.requests);
      expect(ids[0]).toMatch(/^key-\d+~3$/);
    });
    const metrics = await (await fetch(`${h.service.httpUrl}/metrics`)).text();
    expect(metrics).toContain(
      `headrace_serving_shadow_rows_total{project="default",model="m",version="1",shadow="3",agree="yes",service="serving"} ${comparison.rows}`,
    );
  });

  it('copies requests by entity, looked up for each of the two', async () => {
    await h.online('person', 's', [1, 2, 'f']);
    await h.online('account', 's', [3, 'Bern']);
    await setRoute({ shadow: { version: 2, percent: 100 } });
    const { rows } = await h.client.predict({ model: 'm', entities: ['s'] });
    expect(rows[0]).toMatchObject({ stale: false, score: expect.closeTo(logistic(1, 2, 3, BIASES[1]), 5) });
    await eventually('it is compared', async () => {
      const found = (await h.admin.getStatistics({ project: '', model: 'm' })).shadows.find((one) => one.shadowVersion === 2)!;
      expect(found).toMatchObject({ requests: 1, rows: 1 });
      expect(found.scoreDifference!.sum).toBeCloseTo(logistic(1, 2, 3, BIASES[2]) - logistic(1, 2, 3, BIASES[1]), 4);
    });
  });

  it.each<[string, Partial<Route>, string, RegExp]>([
    ['a version that is not loaded', canary(9, 5), 'VERSION_UNKNOWN', /canary.version names version 9, which is not loaded here/],
    ['a percentage out of range', canary(2, 101), 'REQUEST_INVALID', /a percentage lies from 0 to 100/],
    ['the champion as its own canary', canary(1, 5), 'REQUEST_INVALID', /the champion already/],
    ['two arms of one name', split(['a', 1, 1], ['a', 2, 1]), 'REQUEST_INVALID', /for the second time/],
    ['a model that is not here', { ...canary(2, 5), model: 'nobody' }, 'MODEL_NOT_LOADED', /no version of model nobody/],
    ['no model', { ...canary(2, 5), model: '' }, 'REQUEST_INVALID', /route.model is empty/],
  ])('refuses %s, and changes nothing', async (_, route, code, message) => {
    const before = await h.admin.getRoute({ project: '', model: 'm' });
    await expect(setRoute(route)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect(await h.admin.getRoute({ project: '', model: 'm' })).toEqual(before);
  });

  it('never gives traffic to a version without blessing: it cannot be loaded, and so not be routed to', async () => {
    h.peers.add({ model: 'm', version: 4, bytes: biased(1), golden: goldenFor(1), state: VersionState.REJECTED });
    await expect(h.admin.loadVersion({ model: 'm', version: 4 })).rejects.toMatchObject({ code: 'VERSION_NOT_BLESSED' });
    await expect(setRoute(canary(4, 5))).rejects.toMatchObject({ code: 'VERSION_UNKNOWN' });
  });

  it('loses and mixes nothing while the route changes under load', async () => {
    const wire = PredictClient.overWire(h.service.grpcAddress);
    const failures: unknown[] = [];
    const seen = new Set<string>();
    let isStopped = false;
    let answered = 0;
    const caller = async (client: PredictClient, from: number): Promise<void> => {
      for (let i = from; !isStopped; i += 16) {
        try {
          const row = [(i % 7) - 3, i % 5, (i % 3) - 1] as const;
          const { version, arm, rows, predictionId } = await client.predict({ model: 'm', dense: [[...row]], predictionId: `load-${i}` });
          expect([predictionId, rows[0]!.score]).toEqual([`load-${i}`, expect.closeTo(logistic(...row, BIASES[version]!), 5)]);
          seen.add(`${arm}/${version}`);
          answered++;
        } catch (error) {
          failures.push(error);
        }
      }
    };
    const load = Array.from({ length: 16 }, (_, i) => caller(i % 2 === 0 ? h.client : wire, i));
    const routes = [canary(2, 50), split(['a', 1, 1], ['b', 3, 1]), { ...canary(3, 10), shadow: { version: 2, percent: 50 } }, {}];
    for (let change = 0; change < 60; change++) {
      await setRoute(routes[change % routes.length]!);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    isStopped = true;
    await Promise.all(load);
    wire.close();
    expect(failures).toEqual([]);
    expect(answered).toBeGreaterThan(200);
    expect([...seen].sort()).toEqual(['a/1', 'b/3', 'canary/2', 'canary/3', 'champion/1']);
  });

  it('keeps its route over a restart without the registry, and ends the canary with its promotion', async () => {
    await setRoute({ ...canary(2, 100), shadow: { version: 3, percent: 10 } });
    await h.stopService();
    h.peers.isDown = true;
    await h.startService();
    expect(await routed(5)).toEqual(new Array(5).fill('canary/2'));
    expect(await h.admin.getRoute({ project: '', model: 'm' })).toMatchObject({ ...canary(2, 100), shadow: { version: 3, percent: 10 } });
    h.peers.isDown = false;
    await h.serve('m', 2);
    expect(await routed(5)).toEqual(new Array(5).fill('champion/2'));
    const after = await h.admin.getRoute({ project: '', model: 'm' });
    expect(after).toMatchObject({ champion: 2, shadow: { version: 3, percent: 10 } });
    expect(after.traffic).toBeUndefined();
  });
});
