import { sleep } from '@headrace/base/clock';
import { isUniqueViolation } from '../../src/postgres/errors.js';
import { Postgres } from '../../src/postgres/postgres.js';
import { freshDatabase, type FreshDatabase } from '@headrace/testkit/engines';
import { eventually } from '@headrace/testkit/eventually';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { RecordingLog } from '../recording-log.js';

let database: FreshDatabase;
let postgres: Postgres;
const log = new RecordingLog();

beforeAll(async () => {
  database = await freshDatabase('platform');
  postgres = new Postgres({ url: database.url, name: 'platform-test', poolMax: 4, statementTimeoutMs: 2_000 }, log);
  await postgres.execute('CREATE TABLE item (id bigint PRIMARY KEY, name text, score numeric, seen timestamptz, day date, tags jsonb)');
});

afterAll(async () => {
  await postgres.close();
  await database.drop();
});

/** Ends backends from outside, as an operator or a failover does. */
async function terminate(where: string): Promise<number> {
  const outside = new pg.Client({ connectionString: database.url });
  await outside.connect();
  try {
    const { rowCount } = await outside.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'platform-test' AND ${where}`,
    );
    return rowCount ?? 0;
  } finally {
    await outside.end();
  }
}

it('gives numbers for int8 and numeric, dates for timestamptz, text for date, objects for jsonb', async () => {
  await postgres.execute('INSERT INTO item VALUES ($1, $2, $3, $4, $5, $6)', [
    9007199254740991n,
    'a',
    1.25,
    new Date(1000),
    '2016-02-29',
    { deep: [1] },
  ]);
  const [row] = await postgres.query('SELECT *, ARRAY[1::int8, NULL] AS counts FROM item');
  expect(row).toEqual({
    id: 9007199254740991,
    name: 'a',
    score: 1.25,
    seen: new Date(1000),
    day: '2016-02-29',
    tags: { deep: [1] },
    counts: [1, null],
  });
  await expect(postgres.query('SELECT 9007199254740993::int8 AS n')).rejects.toThrow(/int8 below 2\^53/);
  await postgres.execute('DELETE FROM item');
});

it('commits what resolves and rolls back what throws, and the connection stays good', async () => {
  await postgres.transaction((tx) => tx.execute(`INSERT INTO item (id, name) VALUES (1, 'kept')`));
  const failing = postgres.transaction(async (tx) => {
    await tx.execute(`INSERT INTO item (id, name) VALUES (2, 'lost')`);
    throw new Error('changed my mind');
  });
  await expect(failing).rejects.toThrow('changed my mind');
  expect(await postgres.query('SELECT id FROM item ORDER BY id')).toEqual([{ id: 1 }]);
  const duplicate = await postgres.execute('INSERT INTO item (id) VALUES (1)').catch((error: unknown) => error);
  expect(isUniqueViolation(duplicate, 'item_pkey')).toBe(true);
  await postgres.execute('DELETE FROM item');
});

it('runs a transaction again when it lost against another, and gives up after five tries', async () => {
  await postgres.execute('INSERT INTO item (id, score) VALUES (1, 0)');
  /** Another writer commits between our read and our write, for the first `rivals` tries. */
  const increment = async (rivals: number): Promise<number> => {
    let tries = 0;
    await postgres
      .transaction(
        async (tx) => {
          const [row] = await tx.query<{ score: number }>('SELECT score FROM item WHERE id = 1');
          if (++tries <= rivals) await postgres.execute('UPDATE item SET score = score + 100 WHERE id = 1');
          await tx.execute('UPDATE item SET score = $1 WHERE id = 1', [row!.score + 1]);
        },
        { isolation: 'repeatable read' },
      )
      .catch((error: unknown) => {
        throw Object.assign(error as Error, { tries });
      });
    return tries;
  };
  expect(await increment(2)).toBe(3);
  expect(await postgres.query('SELECT score FROM item')).toEqual([{ score: 201 }]);
  await expect(increment(99)).rejects.toMatchObject({ code: '40001', tries: 5 });
  await postgres.execute('DELETE FROM item');
});

it('copies rows in and counts them; a source that fails midway leaves none', async () => {
  const lines = function* (count: number, failAt = Number.POSITIVE_INFINITY): Iterable<Uint8Array> {
    for (let i = 0; i < count; i++) {
      if (i === failAt) throw new Error('source broke');
      yield Buffer.from(`${i}\tname ${i}\n`);
    }
  };
  const sql = 'COPY item (id, name) FROM STDIN';
  expect(await postgres.copyFrom(sql, lines(10_000))).toBe(10_000);
  await expect(postgres.copyFrom(sql, lines(10_000, 5_000))).rejects.toThrow('source broke');
  await expect(postgres.copyFrom(sql, [Buffer.from('not a number\tx\n')])).rejects.toThrow(/invalid input syntax for type bigint/);
  expect(await postgres.query('SELECT count(*) AS n FROM item')).toEqual([{ n: 10_000 }]);
});

it('streams a large result in batches, and a reader may leave early', async () => {
  const sizes: number[] = [];
  let next = 0;
  for await (const rows of postgres.cursor<{ id: number }>('SELECT id FROM item WHERE id >= $1 ORDER BY id', [1], 4_000)) {
    sizes.push(rows.length);
    for (const { id } of rows) expect(id).toBe(++next);
  }
  expect(sizes).toEqual([4_000, 4_000, 1_999]);
  for (let i = 0; i < 10; i++) {
    for await (const rows of postgres.cursor('SELECT id FROM item', [], 10)) {
      expect(rows).toHaveLength(10);
      break;
    }
  }
  await postgres.check();
});

it('survives backends that are killed while idle: the process lives and the next query works', async () => {
  await Promise.all([1, 2, 3, 4].map(() => postgres.query('SELECT pg_sleep(0.05)')));
  expect(await terminate(`state = 'idle'`)).toBeGreaterThanOrEqual(4);
  await eventually('the pool noticed', () => log.count('idle connection to Postgres lost') >= 4);
  expect(await postgres.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
});

it('survives a backend that is killed in use: the call fails with DEPENDENCY_UNAVAILABLE, nothing of its transaction stays, the next works', async () => {
  const before = await postgres.query('SELECT count(*) AS n FROM item');
  const inUse = postgres
    .transaction(async (tx) => {
      await tx.execute('DELETE FROM item');
      await tx.query('SELECT pg_sleep(1.5)');
    })
    .catch((error: unknown) => error);
  await sleep(200);
  expect(await terminate(`query LIKE '%pg_sleep(1.5)%'`)).toBe(1);
  expect(await inUse).toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });

  const betweenStatements = postgres.transaction(async (tx) => {
    await tx.execute('DELETE FROM item');
    expect(await terminate(`state = 'idle in transaction'`)).toBe(1);
    await sleep(100);
    await tx.query('SELECT 1');
  });
  await expect(betweenStatements).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
  expect(await postgres.query('SELECT count(*) AS n FROM item')).toEqual(before);
});

it('ends statements that run too long with DEADLINE_EXCEEDED, and lets a transaction ask for more', async () => {
  await expect(postgres.query('SELECT pg_sleep(5)')).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  await postgres.transaction((tx) => tx.query('SELECT pg_sleep(2.3)'), { statementTimeoutMs: 4_000 });
  await expect(postgres.transaction((tx) => tx.query('SELECT pg_sleep(1)'), { statementTimeoutMs: 100 })).rejects.toMatchObject({
    code: 'DEADLINE_EXCEEDED',
  });
  await postgres.check();
});

it('says DEPENDENCY_UNAVAILABLE within its bound when nobody listens, and after close', async () => {
  const nowhere = new Postgres({ url: 'postgres://x@127.0.0.1:1/x', name: 'nowhere', connectTimeoutMs: 500 }, log);
  await expect(nowhere.check()).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
  await nowhere.close();
  await expect(nowhere.check()).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
});
