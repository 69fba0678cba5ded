import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { memberOf } from './fetch-flights.js';
import { DAY_MS, readFlights } from './flights.js';
import { errorsOf, excessOf } from './predict-flights.js';

it('finds a file in a tar archive by its header', () => {
  const entry = (name: string, body: string): Buffer => {
    const header = Buffer.alloc(512);
    header.write(name, 0);
    header.write(body.length.toString(8).padStart(11, '0'), 124);
    return Buffer.concat([header, Buffer.from(body), Buffer.alloc((512 - (body.length % 512)) % 512)]);
  };
  const tar = Buffer.concat([entry('package/a', 'x'.repeat(700)), entry('package/b', 'wanted'), Buffer.alloc(1024)]);
  expect(memberOf(tar, 'package/b').toString()).toBe('wanted');
  expect(() => memberOf(tar, 'package/c')).toThrow(/has no package\/c/);
});

it('measures errors in minutes', () => {
  expect(
    errorsOf([
      [3, 0],
      [-1, 3],
    ]),
  ).toEqual({ mae: 3.5, rmse: Math.sqrt(12.5) });
});

it('compares two answers flight by flight', () => {
  // Differences of squares: 1 - 4, 4 - 1, 9 - 0; mean 3, variance 36, over 3 flights.
  expect(excessOf([1, -2, 3], [2, 1, 0])).toEqual({ mean: 3, standardError: Math.sqrt(12) });
  expect(excessOf([1], [2])).toEqual({ mean: -3, standardError: 0 });
});

const SLICE = fileURLToPath(new URL('../fixtures/eight-airports.parquet', import.meta.url));
const presentMs = Date.UTC(2001, 5, 1, 17, 30);

it('moves the present of the data to now, and keeps the clock that calendar features read', async () => {
  const nowMs = presentMs + 9_000 * DAY_MS;
  const flights = await readFlights(SLICE, { presentMs, nowMs, days: 1, aheadMinutes: 30 });
  expect(flights.length).toBeGreaterThan(800);
  for (const { scheduledMs, departsMs, landsMs, delay, distance } of flights) {
    expect(departsMs - scheduledMs).toBe(9_000 * DAY_MS);
    expect(departsMs).toBeGreaterThanOrEqual(nowMs - DAY_MS);
    expect(departsMs).toBeLessThanOrEqual(nowMs + 30 * 60_000);
    expect(landsMs - departsMs).toBe(Math.max(0, Math.round(30 + distance / 8) + delay) * 60_000);
  }
});

it('names a flight by its row in the file, whatever share of the file is read', async () => {
  const span = { presentMs, nowMs: presentMs, aheadMinutes: 60 };
  const whole = new Map([...(await readFlights(SLICE, { ...span, days: 12 }))].map((flight) => [flight.id, flight]));
  const share = await readFlights(SLICE, { ...span, days: 2 });
  expect(share.length).toBeGreaterThan(1_500);
  expect(whole.size).toBeGreaterThan(5 * share.length);
  for (const flight of share) expect(whole.get(flight.id)).toEqual(flight);
});

it('gives landings in their order, a share of them as labels, and what leaves soon', async () => {
  const flights = await readFlights(SLICE, { presentMs, nowMs: presentMs, days: 2, aheadMinutes: 60 });
  const all = [...flights];
  const landings = [...flights.landings(presentMs - DAY_MS, presentMs)].map((index) => flights.at(index));
  expect(landings).toEqual(
    all.filter(({ landsMs }) => landsMs > presentMs - DAY_MS && landsMs <= presentMs).toSorted((a, b) => a.landsMs - b.landsMs),
  );
  const landed = all.filter(({ landsMs }) => landsMs <= presentMs);
  expect([...flights.sample(presentMs - DAY_MS, presentMs, 3)].map((index) => flights.at(index))).toEqual(
    landed.filter(({ departsMs }, i) => i % 3 === 0 && departsMs >= presentMs - DAY_MS),
  );
  expect(flights.departures(presentMs, presentMs + 30 * 60_000)).toEqual(
    all.filter(({ departsMs }) => departsMs > presentMs && departsMs <= presentMs + 30 * 60_000),
  );
});
