import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { zstdDecompressSync } from 'node:zlib';
import { Knowledge, JoinState, PointInTimeJoinsDefinition, type Join, type StartJoinRequest } from '@headrace/contracts/features/v1/joins';
import { createClient, type Client } from '@headrace/platform/grpc/client';
import { eventually } from '@headrace/testkit/eventually';
import { tableFromArrays, tableToIPC } from 'apache-arrow';
import { parquetReadObjects } from 'hyparquet';
import { parquetWriteBuffer } from 'hyparquet-writer';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startHarness, type Harness } from './harness.js';

interface Oracle {
  readonly history: Readonly<Record<string, readonly HistoryRow[]>>;
  readonly frame: readonly FrameRow[];
  readonly asOf: number;
  readonly all: readonly object[];
  readonly known: readonly object[];
}
interface HistoryRow {
  readonly carrier: string;
  readonly origin?: string;
  readonly event: number;
  readonly arrived: number;
}
interface FrameRow {
  readonly row: number;
  readonly carrier: string;
  readonly origin: string;
  readonly at: number;
  readonly text: string;
}

let h: Harness;
let joins: Client<typeof PointInTimeJoinsDefinition>;
let folder: string;
let oracle: Oracle;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headrace-frames-'));
  await mkdir(join(folder, 'inside'));
  // Made by pandas.merge_asof: see merge-asof.py.
  oracle = JSON.parse(await readFile(new URL('merge-asof.json', import.meta.url), 'utf8')) as Oracle;
  h = await startHarness({ frameFolder: join(folder, 'inside'), joinConnections: 3 });
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
  const events = Object.entries(oracle.history).flatMap(([view, rows]) =>
    rows.map(({ carrier, origin, event, arrived, ...values }) => ({
      view,
      arrivedMs: arrived,
      row: { entity: { carrier, ...(origin === undefined ? {} : { origin }) }, eventTime: new Date(event), values },
    })),
  );
  await h.sendAt(events);
  await h.settled();
  expect(await h.deadLetters()).toEqual([]);
});
beforeEach(() => {
  joins = createClient(PointInTimeJoinsDefinition, h.service.grpcAddress, { defaultTimeoutMs: 30_000 });
  return () => joins.close();
});
afterAll(async () => {
  await h.close();
  await rm(folder, { recursive: true });
});

const FEATURES = ['place:wind', 'place:gate', 'fleet:size'];

async function upload(type: string, body: Uint8Array | string): Promise<string> {
  const answer = await fetch(`${h.service.httpUrl}/frames`, { method: 'POST', headers: { 'content-type': type }, body });
  expect(answer.status).toBe(200);
  return ((await answer.json()) as { frame: string }).frame;
}

/** Locks every table of rows, so that a join that has begun goes no further until it is released. */
async function holdRows(): Promise<() => Promise<void>> {
  const client = new pg.Client(h.postgresUrl);
  await client.connect();
  const { rows } = await client.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class WHERE relkind = 'p' AND relname LIKE 'view_rows_%'`,
  );
  await client.query('BEGIN');
  await client.query(`LOCK TABLE ${rows.map(({ name }) => name).join(', ')} IN ACCESS EXCLUSIVE MODE`);
  return () => client.end();
}

async function ended({ joinId }: Join): Promise<Join> {
  let join!: Join;
  await eventually(
    'the join has ended',
    async () => {
      join = await joins.getJoin({ joinId });
      return join.state !== JoinState.QUEUED && join.state !== JoinState.RUNNING;
    },
    { withinMs: 60_000 },
  );
  return join;
}

async function rowsOf(request: Partial<StartJoinRequest>): Promise<Record<string, unknown>[]> {
  const join = await ended(await joins.startJoin({ features: FEATURES, timeColumn: 'at', ...request }));
  expect(join).toMatchObject({ state: JoinState.SUCCEEDED, error: '', attempts: 1 });
  expect(join.rowsWritten).toBe(join.rows);
  const bytes = Buffer.from(await (await fetch(`${h.service.httpUrl}/training-sets/${join.trainingSet}.parquet`)).arrayBuffer());
  expect(createHash('sha256').update(bytes).digest('hex')).toBe(join.trainingSet);
  expect(await h.client.getTrainingSet({ hash: join.trainingSet })).toMatchObject({ rows: join.rows, bytes: bytes.length });
  return (await parquetReadObjects({
    file: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer,
    compressors: { ZSTD: (input: Uint8Array) => zstdDecompressSync(input) },
  })) as Record<string, unknown>[];
}

const answers = (rows: Record<string, unknown>[]): object[] =>
  rows
    .sort((a, b) => Number(a.row) - Number(b.row))
    .map((row) => ({
      wind: row.place__wind,
      gate: row.place__gate,
      size: typeof row.fleet__size === 'bigint' ? Number(row.fleet__size) : row.fleet__size,
    }));

const csvField = (text: string): string => `"${text.replaceAll('"', '""')}"`;

describe('a frame joined point in time', () => {
  const frames: Record<string, () => Promise<StartJoinRequest['source']>> = {
    'rows in the request': () =>
      Promise.resolve({
        $case: 'rows',
        value: { rows: oracle.frame.map(({ row, carrier, origin, text }) => ({ row, carrier, origin, at: text })) },
      }),
    CSV: async () => ({
      $case: 'frame',
      value: await upload(
        'text/csv; charset=utf-8',
        `row,at,carrier,origin\r\n${oracle.frame.map((r) => `${r.row},${r.text},${csvField(r.carrier)},${csvField(r.origin)}`).join('\r\n')}`,
      ),
    }),
    Parquet: async () => ({
      $case: 'frame',
      value: await upload(
        'application/vnd.apache.parquet',
        Buffer.from(
          parquetWriteBuffer({
            rowGroupSize: 150,
            columnData: [
              { name: 'origin', data: oracle.frame.map((r) => r.origin), type: 'STRING' },
              { name: 'at', data: oracle.frame.map((r) => new Date(r.at)), type: 'TIMESTAMP' },
              { name: 'carrier', data: oracle.frame.map((r) => r.carrier), type: 'STRING' },
              { name: 'row', data: oracle.frame.map((r) => BigInt(r.row)), type: 'INT64' },
            ],
          }),
        ),
      ),
    }),
    'an Arrow stream': async () => ({ $case: 'frame', value: await upload('application/vnd.apache.arrow.stream', arrow('stream')) }),
    'an Arrow file': async () => ({ $case: 'frame', value: await upload('application/vnd.apache.arrow.file', arrow('file')) }),
    'a file of the configured folder': async () => {
      const lines = oracle.frame.map(({ row, carrier, origin, text }) => JSON.stringify({ row, carrier, origin, at: text }));
      await writeFile(join(folder, 'inside', 'frame.ndjson'), lines.join('\n'));
      return { $case: 'file', value: 'frame.ndjson' };
    },
  };

  function arrow(kind: 'stream' | 'file'): Uint8Array {
    const table = tableFromArrays({
      row: Int32Array.from(oracle.frame, (r) => r.row),
      at: oracle.frame.map((r) => new Date(r.at)),
      carrier: oracle.frame.map((r) => r.carrier),
      origin: oracle.frame.map((r) => r.origin),
    });
    return tableToIPC(table, kind);
  }

  it.each(Object.keys(frames))('equals pandas.merge_asof for %s', async (name) => {
    expect(answers(await rowsOf({ source: await frames[name]!() }))).toEqual(oracle.all);
  });

  it('equals pandas.merge_asof over the rows that had arrived by a moment', async () => {
    const request = { source: await frames.CSV!(), knowledge: Knowledge.AS_OF, asOf: new Date(oracle.asOf) };
    expect(answers(await rowsOf(request))).toEqual(oracle.known);
    expect(oracle.known).not.toEqual(oracle.all);
  });

  it('sees nothing that arrived after the time of the row, when asked for knowledge of that time', async () => {
    // Every row arrived long after its event time, so at these times nothing was known yet; without the rule it would leak.
    const rows = answers(await rowsOf({ source: await frames.CSV!(), knowledge: Knowledge.ROW_TIME }));
    expect(rows.every((row) => Object.values(row).every((value) => value === null))).toBe(true);
    const last = oracle.history.fleet!.at(-1)!;
    const later = { carrier: last.carrier, at: new Date(last.arrived + 1).toISOString() };
    const earlier = { carrier: last.carrier, at: new Date(oracle.history.fleet![0]!.arrived - 1).toISOString() };
    const source: StartJoinRequest['source'] = { $case: 'rows', value: { rows: [earlier, later] } };
    const [before, after] = await rowsOf({ source, features: ['fleet:size'], knowledge: Knowledge.ROW_TIME });
    expect(before!.fleet__size).toBeNull();
    expect(after!.fleet__size).not.toBeNull();
  });

  it('keeps every column of the frame, with its type, in the order of entity and time, in the same bytes each time', async () => {
    const rows = [
      { at: '2016-01-05T00:00:00.123456Z', carrier: 'b', label: 1.5, note: 'é', ok: true, zip: '02139' },
      { at: '2016-01-04 01:00:00+01:00', carrier: 'b', label: null, note: null, ok: null, zip: '00001' },
      { at: '2016-01-05', carrier: 'a', label: 2, note: 'x', ok: false, zip: '99999' },
    ];
    const source: StartJoinRequest['source'] = { $case: 'rows', value: { rows } };
    const request = { source, features: ['fleet:size'], timeColumn: 'at' };
    const read = await rowsOf(request);
    expect(read.map(({ fleet__size: _, ...row }) => row)).toEqual([
      { at: new Date('2016-01-05T00:00:00Z'), carrier: 'a', label: 2, note: 'x', ok: false, zip: '99999' },
      { at: new Date('2016-01-04T00:00:00Z'), carrier: 'b', label: null, note: null, ok: null, zip: '00001' },
      { at: new Date('2016-01-05T00:00:00.123Z'), carrier: 'b', label: 1.5, note: 'é', ok: true, zip: '02139' },
    ]);
    const [one, other] = [await joins.startJoin(request), await joins.startJoin(request)];
    expect((await ended(one)).trainingSet).toBe((await ended(other)).trainingSet);
  });
});

describe('a join as a job', () => {
  const entities = 60_000;

  /** Sorted by nothing, so that Postgres has to work. */
  const bigFrame = (): string => {
    let text = 'event_timestamp,carrier\n';
    for (let i = 0; i < entities; i++) text += `2016-01-${String(1 + (i % 28)).padStart(2, '0')}T00:00:00Z,c${(i * 7919) % 50_021}\n`;
    return text;
  };

  it('takes memory for a part of the frame, not for the whole', async () => {
    const frame = await upload('text/csv', bigFrame());
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const liveBytes = (): number => {
      collect();
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    };
    const before = liveBytes();
    let peak = 0;
    const timer = setInterval(() => (peak = Math.max(peak, liveBytes() - before)), 400);
    const join = await ended(await joins.startJoin({ features: ['fleet:size'], source: { $case: 'frame', value: frame } }));
    clearInterval(timer);
    expect(join).toMatchObject({ state: JoinState.SUCCEEDED, rows: entities, rowsRead: entities, rowsWritten: entities });
    // A row group of the snapshot and some batches of the frame; the whole would be above 30 MB as rows.
    expect(peak).toBeLessThan(30_000_000);
  });

  it('can be cancelled while it runs and restarted then, and says so to whoever asks too late', async () => {
    const frame = await upload('text/csv', bigFrame());
    const release = await holdRows();
    const started = await joins.startJoin({ features: ['fleet:size'], source: { $case: 'frame', value: frame } });
    await eventually('it runs', async () => (await joins.getJoin({ joinId: started.joinId })).state === JoinState.RUNNING);
    await joins.cancelJoin({ joinId: started.joinId });
    await release();
    expect(await ended(started)).toMatchObject({ state: JoinState.CANCELLED, trainingSet: '' });
    await expect(joins.cancelJoin({ joinId: started.joinId })).rejects.toMatchObject({ code: 'JOIN_STATE_ILLEGAL' });
    await joins.restartJoin({ joinId: started.joinId });
    expect(await ended(started)).toMatchObject({ state: JoinState.SUCCEEDED, rowsWritten: entities });
    await expect(joins.restartJoin({ joinId: started.joinId })).rejects.toMatchObject({ code: 'JOIN_STATE_ILLEGAL' });
    await expect(joins.getJoin({ joinId: 'ghost' })).rejects.toMatchObject({ code: 'JOIN_UNKNOWN' });
  });

  it('goes on after the service stopped in the middle, and after its process died', async () => {
    const source = { $case: 'frame', value: await upload('text/csv', bigFrame()) } as const;
    const release = await holdRows();
    const one = await joins.startJoin({ features: ['fleet:size'], source });
    const other = await joins.startJoin({ features: ['fleet:size'], source });
    await eventually('it runs', async () => (await joins.getJoin({ joinId: one.joinId })).state === JoinState.RUNNING);
    const stopped = h.stop();
    await release();
    await stopped;
    // What a killed process leaves: a lease that nobody renews.
    const client = new pg.Client(h.postgresUrl);
    await client.connect();
    await client.query(
      `UPDATE point_in_time_joins SET state = 'running', attempts = 1, lease_owner = 'dead', lease_until = now() - interval '1 s' WHERE id = $1`,
      [other.joinId],
    );
    await client.end();
    await h.start();
    joins = createClient(PointInTimeJoinsDefinition, h.service.grpcAddress, { defaultTimeoutMs: 30_000 });
    expect(await ended(one)).toMatchObject({ state: JoinState.SUCCEEDED, attempts: 1 });
    expect(await ended(other)).toMatchObject({ state: JoinState.SUCCEEDED, attempts: 2 });
  });

  it('fails with a reason a person can act on, over HTTP too', async () => {
    const post = (path: string, body: unknown): Promise<Response> =>
      fetch(`${h.service.httpUrl}${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
    const rows = [
      { event_timestamp: '2016-01-01T00:00:00Z', carrier: 'a' },
      { event_timestamp: '2016-01-01T00:00:00Z', carrier: null },
    ];
    const answer = await post('/joins', { features: ['fleet:size'], rows });
    expect(answer.status).toBe(202);
    const join = await ended((await answer.json()) as Join);
    expect(join).toMatchObject({ state: JoinState.FAILED, errorCode: 'REQUEST_INVALID' });
    expect(join.error).toBe('row 1 of the frame has no carrier, which is a join key');
    const read = (await (await fetch(`${h.service.httpUrl}/joins/${join.joinId}`)).json()) as { state: string };
    expect(read.state).toBe('JOIN_STATE_FAILED');
  });

  it.each<[string, object, string]>([
    ['no frame', {}, 'needs an entity frame'],
    ['a frame that is not here', { frame: `${'a'.repeat(64)}.csv` }, 'no frame'],
    ['a frame by a path', { frame: '../../etc/passwd' }, 'no frame'],
    ['a file outside the folder', { file: '../outside.csv' }, 'has no file'],
    ['a link out of the folder', { file: 'link.csv' }, 'has no file'],
    ['a file of no known format', { file: 'frame.xlsx' }, 'must end with one of'],
    ['an unknown view', { rows: [{ event_timestamp: '2016-01-01', carrier: 'a' }], features: ['ghost:x'] }, 'not defined'],
    ['a frame without the time', { rows: [{ carrier: 'a' }] }, 'no time column event_timestamp'],
    ['a time that is none', { rows: [{ event_timestamp: '2016-02-31', carrier: 'a' }] }, 'timestamps are wanted'],
    ['a frame without rows', { rows: [] }, 'the frame'],
  ])('is refused at once for %s', async (_name, body, message) => {
    await writeFile(join(folder, 'outside.csv'), 'event_timestamp,carrier\n2016-01-01,a\n');
    await symlink(join(folder, 'outside.csv'), join(folder, 'inside', 'link.csv')).catch(() => undefined);
    const answer = await fetch(`${h.service.httpUrl}/joins`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ features: ['fleet:size'], ...body }),
    });
    expect(answer.ok).toBe(false);
    expect(await answer.text()).toContain(message);
  });

  it.each([
    ['application/vnd.apache.parquet', 'PAR1 is not enough'],
    ['application/vnd.apache.arrow.stream', 'nor is this Arrow'],
    ['text/csv', 'a,b\n1\n'],
    ['application/x-ndjson', '[1]\n'],
  ])('refuses bytes that are no %s', async (type, body) => {
    const frame = await upload(type, body);
    await expect(joins.startJoin({ features: ['fleet:size'], source: { $case: 'frame', value: frame } })).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
    });
  });
});
