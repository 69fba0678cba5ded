import { compileBlobSchema, encodeBlob, encodeErased, type FeatureValue } from '@headrace/codec/feature-blob';
import { describe, expect, it } from 'vitest';
import { emptyRowLookup, EntityLookup, mergeViews } from './entity-lookup.js';
import { FeatureBlock } from '@headrace/executor/feature-block';
import { compileInputPlan } from '@headrace/executor/input-plan';
import { encodeWindows } from '@headrace/windows/window-blob';
import { compileWindowPlan, type WindowFeature } from '@headrace/windows/window-plan';
import { WindowState } from '@headrace/windows/window-state';
import type { ViewSchema } from './version-description.js';

const person: ViewSchema = {
  name: 'person',
  entity: 'person',
  ttlMs: 0,
  fields: [
    { name: 'age', type: 'int64' },
    { name: 'city', type: 'string' },
    { name: 'sex', type: 'int64' },
  ],
};
const account: ViewSchema = {
  name: 'account',
  entity: 'person',
  ttlMs: 1000,
  fields: [
    { name: 'balance', type: 'float64' },
    { name: 'open', type: 'bool' },
  ],
};
const plan = compileInputPlan(
  [
    { name: 'balance', reference: 'account:balance', type: 'float64' },
    { name: 'age', reference: 'person:age', type: 'int64' },
    { name: 'city', reference: 'person:city', type: 'string' },
    { name: 'open', reference: 'account:open', type: 'bool' },
  ],
  [{ name: 'sex', reference: 'person:sex', type: 'int64' }],
);
const blobOf = (view: ViewSchema, values: FeatureValue[], eventTimeMs = 5000): Buffer =>
  encodeBlob(compileBlobSchema(view.fields), values, { eventTimeMs, ingestTimeMs: 9000, tieBreak: 0 });
const NaN = Number.NaN;

function lookUp(blobs: (Buffer | null)[], nowMs = 5500): { numbers: number[]; extra: number; city: string; found: object } {
  const lookup = new EntityLookup('default', ['id'], plan, [person, account]);
  const block = new FeatureBlock(plan, 1);
  block.clear(0, 1);
  const found = emptyRowLookup();
  lookup.fill(blobs, 0, block, 0, nowMs, found);
  return { numbers: [...block.numbers], extra: block.extraNumbers[0]!, city: block.texts[0]![0]!, found };
}

describe('entity lookup', () => {
  it('asks one key for each view, escaped as the feature store writes it', () => {
    const keys: string[] = [];
    new EntityLookup('default', ['id'], plan, [person, account]).addKeys('4|2', keys);
    expect(keys).toEqual(['hr:{default/person/4\\|2}:account', 'hr:{default/person/4\\|2}:person']);
  });

  it('takes several join keys joined by a bar, and refuses another number of them', () => {
    const keys: string[] = [];
    const lookup = new EntityLookup('p', ['a', 'b'], plan, [person, account]);
    lookup.addKeys('x|y\\|z', keys);
    expect(keys[1]).toBe('hr:{p/person/x|y\\|z}:person');
    expect(() => lookup.addKeys('x', keys)).toThrow(/has 1 part\(s\).*a\|b/);
    expect(() => lookup.addKeys('', keys)).toThrow(/empty/);
  });

  it('puts every value of several views at its place; the oldest event time counts', () => {
    expect(lookUp([blobOf(account, [1.5, true], 5000), blobOf(person, [46, 'Bärn', 2], 4000)])).toEqual({
      numbers: [1.5, 46, 1],
      extra: 2,
      city: 'Bärn',
      found: { oldestEventTimeMs: 4000, missingViews: 0, unknownLayouts: 0, corruptBlobs: 0 },
    });
  });

  it('gives a published null as missing without calling the row stale', () => {
    expect(lookUp([blobOf(account, [null, false]), blobOf(person, [null, null, null])])).toMatchObject({
      numbers: [NaN, NaN, 0],
      extra: NaN,
      city: '',
      found: { missingViews: 0 },
    });
  });

  it.each<[string, (Buffer | null)[], number, object]>([
    ['a view that was never published', [null, blobOf(person, [1, 'x', 1])], 5500, { missingViews: 1, oldestEventTimeMs: 5000 }],
    ['a view past its maximum age', [blobOf(account, [1, true]), blobOf(person, [1, 'x', 1])], 6001, { missingViews: 1 }],
    [
      'another layout',
      [blobOf({ ...account, fields: [{ name: 'other', type: 'int64' }] }, [1]), null],
      5500,
      { missingViews: 2, unknownLayouts: 1 },
    ],
    [
      'the mark of an erased entity',
      [encodeErased(6_000), encodeErased(6_000)],
      5500,
      { missingViews: 2, corruptBlobs: 0, unknownLayouts: 0 },
    ],
    ['a cut blob', [blobOf(account, [1, true]).subarray(0, 35), null], 5500, { missingViews: 2, corruptBlobs: 1 }],
  ])('treats %s as missing and says which', (_name, blobs, nowMs, found) => {
    const result = lookUp(blobs, nowMs);
    expect(result.found).toMatchObject(found);
    expect(result.numbers[0]).toBeNaN();
  });

  it('reads rows in a former layout of the view, with what that layout did not have as missing', () => {
    const former: ViewSchema = {
      ...account,
      fields: [
        { name: 'open', type: 'bool' },
        { name: 'gone', type: 'string' },
      ],
    };
    const lookup = new EntityLookup('p', ['id'], plan, mergeViews([person, account], [former, account]));
    const block = new FeatureBlock(plan, 1);
    block.clear(0, 1);
    const found = emptyRowLookup();
    lookup.fill([blobOf(former, [true, 'x']), null], 0, block, 0, 5500, found);
    expect([...block.numbers]).toEqual([NaN, NaN, 1]);
    expect(found).toMatchObject({ unknownLayouts: 0, missingViews: 1 });
  });

  it('remembers four layouts of a view, the newest first', () => {
    const layouts = Array.from({ length: 6 }, (_, i): ViewSchema => ({ ...account, fields: [{ name: `f${i}`, type: 'int64' }] }));
    const merged = layouts.reduce<ViewSchema[]>((known, fresh) => mergeViews([fresh], known), []);
    expect(merged.map((view) => view.fields[0]!.name)).toEqual(['f5', 'f4', 'f3', 'f2']);
    expect(mergeViews([layouts[5]!], merged)).toEqual(merged);
  });

  it('refuses a signature that reads what is not online', () => {
    expect(() => new EntityLookup('p', ['id'], plan, [person])).toThrow(/view account, which is not served online/);
    expect(() => new EntityLookup('p', ['id'], plan, [person, { ...account, fields: [{ name: 'open', type: 'bool' }] }])).toThrow(
      /account:balance; the view has no such feature/,
    );
  });
});

describe('features made of time', () => {
  const DAY_MS = 86_400_000;
  const independenceDay = Date.UTC(2001, 6, 4, 17, 30);
  const flight: ViewSchema = {
    ...{ name: 'schedule', entity: 'flight', ttlMs: 0 },
    fields: [
      { name: 'distance', type: 'int64' },
      { name: 'departs', type: 'timestamp' },
    ],
    timeFeatures: [
      { kind: 'calendar', name: 'hour', part: 'hour', of: 'departs', timeZone: 'UTC' },
      { kind: 'calendar', name: 'holiday', part: 'is_holiday', of: 'departs', timeZone: 'UTC', country: 'US' },
      { kind: 'calendar', name: 'asked_on', part: 'day_of_week', of: 'now', timeZone: 'UTC' },
      { kind: 'recency', name: 'age', of: 'event_time' },
    ],
  };
  const names = ['hour', 'holiday', 'asked_on', 'age', 'distance'];
  const inputs = compileInputPlan(
    names.map((name) => ({ name, reference: `schedule:${name}`, type: name === 'holiday' ? 'bool' : 'float64' })),
    [],
  );
  const read = (views: ViewSchema[], layout: ViewSchema, values: FeatureValue[], nowMs: number): number[] => {
    const lookup = new EntityLookup('p', ['flight'], inputs, views);
    expect(lookup.keysPerRow).toBe(1);
    const block = new FeatureBlock(inputs, 1);
    block.clear(0, 1);
    lookup.fill([blobOf(layout, values, nowMs - DAY_MS)], 0, block, 0, nowMs, emptyRowLookup());
    return [...block.numbers];
  };
  // A Thursday.
  const nowMs = Date.UTC(2026, 0, 1, 12);

  it('are computed at the request from the row, beside what is stored', () => {
    expect(read([flight], flight, [2176, independenceDay], nowMs)).toEqual([17, 1, 4, 86_400, 2176]);
    expect(read([flight], flight, [2176, independenceDay + DAY_MS], nowMs)).toEqual([17, 0, 4, 86_400, 2176]);
    expect(read([flight], flight, [null, null], nowMs)).toEqual([NaN, NaN, 4, 86_400, NaN]);
  });

  it('follow the newest definition for rows in a former layout', () => {
    const former: ViewSchema = { ...flight, fields: [...flight.fields].reverse(), timeFeatures: [] };
    expect(read([flight, former], former, [independenceDay, 7], nowMs)).toEqual([17, 1, 4, 86_400, 7]);
  });
});

describe('windows of a view', () => {
  const [S, H] = [1000, 3_600_000];
  const windows: WindowFeature[] = [
    { name: 'delay_mean_1h', function: 'mean', column: 'delay', windowMs: H },
    { name: 'flights_1h', function: 'count', column: undefined, windowMs: H },
  ];
  const origin: ViewSchema = {
    name: 'departures',
    entity: 'origin',
    ttlMs: 0,
    fields: [{ name: 'delay', type: 'float64' }],
    joinKeys: ['origin'],
    windows,
  };
  const inputs = compileInputPlan(
    [
      { name: 'delay_mean_1h', reference: 'departures:delay_mean_1h', type: 'float64' },
      { name: 'delay', reference: 'departures:delay', type: 'float64' },
      { name: 'flights_1h', reference: 'departures:flights_1h', type: 'int64' },
    ],
    [],
  );
  const lookup = new EntityLookup('default', ['carrier', 'origin'], inputs, [origin]);
  const nowMs = 1_700_000_000_000;
  const state = new WindowState(compileWindowPlan(windows), nowMs - 5 * S);
  state.fill([
    { timeMs: nowMs - 2 * H, tie: 0, values: [900] },
    { timeMs: nowMs - 1800 * S, tie: 1, values: [10] },
    { timeMs: nowMs - S, tie: 2, values: [20] },
  ]);

  it('stand under a key of their own beside the row, by the keys of their own entity', () => {
    const keys: string[] = [];
    lookup.addKeys('AA|JFK', keys);
    expect(keys).toEqual(['hr:{default/origin/JFK}:departures', 'hr:{default/origin/JFK}:departures:windows']);
    expect(() => new EntityLookup('default', ['carrier'], inputs, [origin])).toThrow(/keyed by origin/);
  });

  it('are computed at the moment of the request', () => {
    const row = encodeBlob(compileBlobSchema(origin.fields), [20], { eventTimeMs: nowMs - S, ingestTimeMs: nowMs, tieBreak: 0 });
    const block = new FeatureBlock(inputs, 1);
    const found = emptyRowLookup();
    const at = (ms: number): number[] => {
      block.clear(0, 1);
      lookup.fill([row, encodeWindows(state)], 0, block, 0, ms, found);
      return [...block.numbers];
    };
    expect(at(nowMs)).toEqual([15, 20, 2]);
    expect(found).toMatchObject({ oldestEventTimeMs: nowMs - S, missingViews: 0 });
    expect(at(nowMs + 2000 * S)).toEqual([20, 20, 1]);
    expect(at(nowMs + 2 * H)).toEqual([NaN, 20, NaN]);
    expect(found).toMatchObject({ missingViews: 1, corruptBlobs: 0 });
  });
});
