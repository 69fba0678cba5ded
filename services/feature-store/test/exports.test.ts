import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startHarness, type Harness } from './harness.js';

interface Oracle {
  readonly history: Readonly<Record<string, readonly { carrier: string; origin?: string; event: number; arrived: number }[]>>;
  readonly frame: readonly { row: number; carrier: string; origin: string; at: number }[];
  readonly asOf: number;
  readonly all: readonly object[];
  readonly known: readonly object[];
}

let h: Harness;
let folder: string;
let oracle: Oracle;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headrace-export-'));
  oracle = JSON.parse(await readFile(new URL('merge-asof.json', import.meta.url), 'utf8')) as Oracle;
  h = await startHarness();
  await h.apply(`
kind: Entity
name: flight
joinKeys: [carrier, origin]
---
kind: Entity
name: carrier
joinKeys: [carrier]
---
kind: FeatureView
name: place
entity: flight
ttl: 3d
features: [{ name: wind, type: float64 }, { name: gate, type: string }]
---
kind: FeatureView
name: fleet
entity: carrier
features: [{ name: size, type: int64 }]
`);
  await h.sendAt(
    Object.entries(oracle.history).flatMap(([view, rows]) =>
      rows.map(({ carrier, origin, event, arrived, ...values }) => ({
        view,
        arrivedMs: arrived,
        row: { entity: { carrier, ...(origin === undefined ? {} : { origin }) }, eventTime: new Date(event), values },
      })),
    ),
  );
  await h.settled();
  const frame = parquetWriteBuffer({
    columnData: [
      { name: 'row', data: oracle.frame.map((r) => r.row), type: 'INT32' },
      { name: 'carrier', data: oracle.frame.map((r) => r.carrier), type: 'STRING' },
      { name: 'origin', data: oracle.frame.map((r) => r.origin), type: 'STRING' },
      { name: 'at', data: oracle.frame.map((r) => new Date(r.at)), type: 'TIMESTAMP' },
    ],
  });
  await writeFile(join(folder, 'frame.parquet'), Buffer.from(frame));
});
afterAll(async () => {
  await h.close();
  await rm(folder, { recursive: true });
});

async function plan(body: object): Promise<Response> {
  return fetch(`${h.service.httpUrl}/exports`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

async function joined(asOf?: string): Promise<object[]> {
  const request = { features: ['place:wind', 'place:gate', 'fleet:size'], columns: ['row'], timeColumn: 'at', asOf };
  const { sql, histories } = (await (await plan(request)).json()) as { sql: string; histories: { file: string; path: string }[] };
  for (const { file, path } of histories) {
    const answer = await fetch(`${h.service.httpUrl}${path}`);
    expect(answer.status).toBe(200);
    await writeFile(join(folder, file), Buffer.from(await answer.arrayBuffer()));
  }
  const duckdb = await DuckDBInstance.create(':memory:', { threads: '1' });
  const connection = await duckdb.connect();
  // What a person does with `cd`.
  const here = sql.replaceAll(/'([a-z]+\.parquet)'/g, (_, file: string) => `'${join(folder, file)}'`);
  const rows = (await connection.runAndReadAll(`SELECT * FROM (${here}) ORDER BY row`)).getRowObjectsJS();
  connection.closeSync();
  return rows.map((row) => ({
    wind: row.place__wind,
    gate: row.place__gate,
    size: typeof row.fleet__size === 'bigint' ? Number(row.fleet__size) : row.fleet__size,
  }));
}

it('gives in DuckDB what the join in Postgres and pandas.merge_asof give', async () => {
  expect(await joined()).toEqual(oracle.all);
});

it('gives the same over the rows that had arrived by a moment', async () => {
  expect(await joined(new Date(oracle.asOf).toISOString())).toEqual(oracle.known);
});

it('refuses what it does not know', async () => {
  expect((await plan({ features: ['ghost:x'], columns: ['row'] })).status).toBe(404);
  expect((await plan({ features: [], columns: ['row'] })).status).toBe(400);
  for (const query of ['', '?features=ghost:x', '?features=place:wind,fleet:size'])
    expect((await fetch(`${h.service.httpUrl}/exports/history.parquet${query}`)).ok).toBe(false);
});
