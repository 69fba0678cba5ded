import { claim, claimAll, forgetOldClaims } from '../../src/postgres/inbox.js';
import { migratePlatform } from '../../src/postgres/migrate.js';
import { Postgres } from '../../src/postgres/postgres.js';
import { freshDatabase, type FreshDatabase } from '@headrace/testkit/engines';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { RecordingLog } from '../recording-log.js';

let database: FreshDatabase;
let postgres: Postgres;

beforeAll(async () => {
  database = await freshDatabase('inbox');
  postgres = new Postgres({ url: database.url, name: 'inbox-test', poolMax: 10 }, new RecordingLog());
  await migratePlatform(postgres, new RecordingLog());
  await postgres.execute('CREATE TABLE effect (event_id text)');
});

afterAll(async () => {
  await postgres.close();
  await database.drop();
});

it('lets an effect happen once, whatever number of members try at the same time', async () => {
  const handle = (eventId: string): Promise<boolean> =>
    postgres.transaction(async (tx) => {
      const first = await claim(tx, 'monitor', eventId);
      if (first) await tx.execute('INSERT INTO effect VALUES ($1)', [eventId]);
      return first;
    });
  const won = await Promise.all(Array.from({ length: 60 }, (_, i) => handle(`event-${i % 3}`)));
  expect(won.filter(Boolean)).toHaveLength(3);
  expect(await postgres.query('SELECT event_id FROM effect ORDER BY 1')).toEqual([0, 1, 2].map((i) => ({ event_id: `event-${i}` })));
});

it('forgets a claim whose transaction rolled back, so the event is handled when it comes again', async () => {
  await expect(
    postgres.transaction(async (tx) => {
      expect(await claim(tx, 'monitor', 'unlucky')).toBe(true);
      throw new Error('crash');
    }),
  ).rejects.toThrow('crash');
  expect(await claim(postgres, 'monitor', 'unlucky')).toBe(true);
  expect(await claim(postgres, 'monitor', 'unlucky')).toBe(false);
  expect(await claim(postgres, 'trainer', 'unlucky')).toBe(true);
});

it('claims a batch in one statement', async () => {
  expect(await claimAll(postgres, 'batch', ['a', 'b', 'a'])).toEqual(new Set(['a', 'b']));
  expect(await claimAll(postgres, 'batch', ['b', 'c'])).toEqual(new Set(['c']));
  expect(await claimAll(postgres, 'batch', [])).toEqual(new Set());
});

it('forgets claims that are older than the retention, and no others', async () => {
  await postgres.execute(
    `INSERT INTO platform_inbox VALUES ('old', 'x', now() - interval '15 days'), ('old', 'y', now() - interval '13 days')`,
  );
  expect(await forgetOldClaims(postgres)).toBe(1);
  expect(await postgres.query(`SELECT event_id FROM platform_inbox WHERE consumer = 'old'`)).toEqual([{ event_id: 'y' }]);
});
