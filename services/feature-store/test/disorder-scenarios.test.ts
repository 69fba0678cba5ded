import { AppError } from '@headrace/base/errors';
import { seededRandom } from '@headrace/base/random';
import pg from 'pg';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { OfflineStore } from '../src/io/offline-store.js';
import { OnlineStore } from '../src/io/online-store.js';
import { startHarness, type Harness } from './harness.js';

/**
 * Seeded histories, one entity each, delivered late, permuted and repeated while stores fail and the process stops at every point of the way.
 * `HEADRACE_DISORDER_SCENARIOS=1000` makes it long, `HEADRACE_DISORDER_SEED` another one; a wrong value names its scenario.
 */
const SCENARIOS = Number(process.env['HEADRACE_DISORDER_SCENARIOS'] ?? 40);
const SEED = Number(process.env['HEADRACE_DISORDER_SEED'] ?? 1);
const SCENARIOS_PER_ROUND = 10;

const DEFINITIONS = `
kind: Entity
name: device
joinKeys: [device_id]
---
kind: FeatureView
name: state
entity: device
features:
  - { name: level, type: int64 }
  - { name: mode, type: string }
`;

let h: Harness;
beforeAll(async () => {
  h = await startHarness({ ingestBatchEvents: 7 });
  await h.apply(DEFINITIONS);
});
afterAll(() => h.close());

interface Sent {
  readonly view: string;
  readonly arrivedMs: number;
  readonly row: {
    readonly entity: { device_id: string };
    readonly eventTime: Date;
    readonly values: { level: number; mode: string | null };
  };
}

/** Few event times and values, so that ties, corrections and returns to an old value are common. */
function history(scenario: number, random: () => number, firstMs: number): Sent[] {
  return Array.from({ length: 2 + Math.floor(random() * 8) }, (_, i) => ({
    view: 'state',
    arrivedMs: firstMs + i,
    row: {
      entity: { device_id: `s${scenario}` },
      eventTime: new Date(Date.UTC(2016, 0, 1 + Math.floor(random() * 400))),
      values: { level: Math.floor(random() * 3), mode: random() < 0.4 ? null : 'x' },
    },
  }));
}

const CRASHES = ['none', 'before offline', 'between offline and online', 'between online and commit', 'restart'] as const;

/** The next call fails once, before or after its work: to the caller a failure, a time-out and a crash look alike, and all end in a redelivery. */
function arrange(crash: (typeof CRASHES)[number]): void {
  const gone = (): never => {
    throw new AppError('DEPENDENCY_UNAVAILABLE', `gone: ${crash}`);
  };
  const offline = h.service.app.get(OfflineStore);
  const online = h.service.app.get(OnlineStore);
  if (crash === 'before offline')
    vi.spyOn(offline, 'append').mockImplementationOnce(() => Promise.reject(new AppError('DEPENDENCY_UNAVAILABLE', 'gone')));
  if (crash === 'between offline and online') {
    const append = offline.append.bind(offline);
    vi.spyOn(offline, 'append').mockImplementationOnce((...args) => append(...args).then(gone));
  }
  if (crash === 'between online and commit') {
    const write = online.write.bind(online);
    vi.spyOn(online, 'write').mockImplementationOnce((...args) => write(...args).then(gone));
  }
}

it(`${SCENARIOS} seeded scenarios of disorder and crashes end in the state of the ordered history, online and offline`, async () => {
  const random = seededRandom(SEED);
  const firstMs = Date.now() - 3_600_000;
  const histories = Array.from({ length: SCENARIOS }, (_, n) => history(n, random, firstMs));
  for (let from = 0; from < SCENARIOS; from += SCENARIOS_PER_ROUND) {
    const round = histories.slice(from, from + SCENARIOS_PER_ROUND).flat();
    const events = shuffle([...round, ...round.filter(() => random() < 0.6)], random);
    const crash = CRASHES[Math.floor(random() * CRASHES.length)]!;
    arrange(crash);
    await h.sendAt(events.slice(0, events.length >> 1));
    if (crash === 'restart') await h.restart();
    await h.sendAt(events.slice(events.length >> 1));
    // Some rounds are still under way when the next comes.
    if (random() < 0.5) await h.settled();
  }
  await h.settled();
  vi.restoreAllMocks();
  expect(await wrongOnline(histories)).toEqual([]);
  expect(await wrongOffline(histories)).toEqual([]);
  expect(await h.deadLetters()).toEqual([]);
  await h.flushOnline();
  await h.client.rebuildOnline({ view: 'state' });
  expect(await wrongOnline(histories)).toEqual([]);
}, 600_000);

/** The slow and obvious way: latest event time, then latest arrival. */
function newest(events: readonly Sent[]): Sent['row'] {
  return [...events].sort((a, b) => a.row.eventTime.getTime() - b.row.eventTime.getTime() || a.arrivedMs - b.arrivedMs).at(-1)!.row;
}

async function wrongOnline(histories: readonly (readonly Sent[])[]): Promise<unknown[]> {
  const entities = histories.map((_, n) => ({ keys: { device_id: `s${n}` } }));
  const { vectors } = await h.client.getOnlineFeatures({ features: ['state:level', 'state:mode'], entities });
  return histories.flatMap((events, scenario) => {
    const { values, eventTime } = newest(events);
    const expected = [values.level, values.mode, eventTime.toISOString()];
    const [level, mode] = vectors[scenario]!.values;
    const found = [level, mode, vectors[scenario]!.eventTimes[0]!.toISOString()];
    return JSON.stringify(found) === JSON.stringify(expected) ? [] : [{ scenario, seed: SEED, expected, found }];
  });
}

/** Each content of each instant once, however often it came. */
async function wrongOffline(histories: readonly (readonly Sent[])[]): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: h.postgresUrl });
  await client.connect();
  try {
    const [view] = (await client.query<{ id: number }>("SELECT id FROM views WHERE name = 'state'")).rows;
    const { rows } = await client.query<{ entity: string; at: Date; level: unknown; mode: string | null }>(
      `SELECT _entity AS entity, _event_time AS at, level, mode FROM view_rows_${view!.id}`,
    );
    const stored = new Map<string, string[]>();
    for (const { entity, at, level, mode } of rows)
      stored.set(entity, [...(stored.get(entity) ?? []), `${at.toISOString()} ${String(level)} ${mode}`]);
    return histories.flatMap((events, scenario) => {
      const expected = [
        ...new Set(events.map(({ row }) => `${row.eventTime.toISOString()} ${row.values.level} ${row.values.mode}`)),
      ].sort();
      const found = (stored.get(`s${scenario}`) ?? []).sort();
      return JSON.stringify(found) === JSON.stringify(expected) ? [] : [{ scenario, seed: SEED, expected, found }];
    });
  } finally {
    await client.end();
  }
}

function shuffle<T>(items: T[], random: () => number): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items;
}
