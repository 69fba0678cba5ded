import { sleep } from '@headrace/base/clock';
import { RedisClient } from '../../src/redis/redis.js';
import { freshRedis, type FreshRedis } from '@headrace/testkit/engines';
import { eventually } from '@headrace/testkit/eventually';
import { freePort } from '@headrace/testkit/free-port';
import { Redis } from 'ioredis';
import { createServer, connect, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { RecordingLog } from '../recording-log.js';

let database: FreshRedis;
let redis: RedisClient;
let log: RecordingLog;
let road: Road;

/** The road between client and Redis: it can be cut (as by a restart) or jammed (as by a stopped process or a lost route). */
class Road {
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #jammed = false;

  constructor(
    readonly port: number,
    readonly target: URL,
  ) {}

  async open(): Promise<void> {
    this.#jammed = false;
    this.#server = createServer((near) => {
      const far = connect(Number(this.target.port), this.target.hostname);
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(from);
        from.on('data', (chunk) => void (this.#jammed || to.write(chunk)));
        from.on('close', () => to.destroy());
        from.on('error', () => to.destroy());
      }
    });
    await new Promise<void>((resolve) => this.#server!.listen(this.port, '127.0.0.1', resolve));
  }

  jam(): void {
    this.#jammed = true;
  }

  async cut(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
    await new Promise((resolve) => this.#server?.close(resolve));
  }
}

beforeEach(async () => {
  log = new RecordingLog();
  database = await freshRedis();
  const target = new URL(database.url);
  road = new Road(await freePort(), target);
  await road.open();
  const url = new URL(database.url);
  url.port = String(road.port);
  redis = new RedisClient({ url: url.href, name: 'redis-test', commandTimeoutMs: 200 }, log);
  await redis.ready();
});

afterEach(async () => {
  await redis.close();
  await road.cut();
});

const failFast = async (withinMs: number): Promise<void> => {
  const begin = performance.now();
  await expect(redis.getBuffers(['a'])).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
  expect(performance.now() - begin).toBeLessThan(withinMs);
};

it('reads many values in one round trip, in order, with null for what is missing', async () => {
  await redis.raw.mset('a', Buffer.from([0, 255, 1]), 'c', 'text');
  expect(await redis.getBuffers(['c', 'missing', 'a', 'a'])).toEqual([
    Buffer.from('text'),
    null,
    Buffer.from([0, 255, 1]),
    Buffer.from([0, 255, 1]),
  ]);
  expect(await redis.getBuffers([])).toEqual([]);
});

it('runs a script by its hash, and brings it again after Redis forgot it', async () => {
  const add = redis.script('add', `return redis.call('INCRBY', KEYS[1], ARGV[1])`);
  expect(await Promise.all([add(['n'], [2]), add(['n'], [3])])).toEqual([2, 5]);
  await redis.raw.script('FLUSH');
  expect(await add(['n'], [5])).toBe(10);
  const broken = redis.script('broken', `return redis.call('INCRBY', KEYS[1], 'x')`);
  await expect(broken(['n'])).rejects.toThrow(/not an integer/);
});

it('fails fast while Redis is gone, queues nothing, and comes back by itself', async () => {
  await road.cut();
  await failFast(400);
  for (let i = 0; i < 50; i++) await failFast(300);
  await expect(redis.check()).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
  await sleep(300);
  await road.open();
  await eventually('it is back', () => redis.check().then(() => true), { withinMs: 3_000 });
  expect(log.count('Redis is away')).toBe(1);
  expect(log.count('Redis is back')).toBe(1);
});

it('gives up on a Redis that accepts but does not answer, within the command timeout', async () => {
  road.jam();
  await failFast(400);
  await failFast(400);
  await road.cut();
  await road.open();
  await eventually('it is back', () => redis.check().then(() => true), { withinMs: 3_000 });
});

it('gives up while Redis itself stands still', async () => {
  const admin = new Redis(database.url);
  await admin.call('CLIENT', 'PAUSE', '600', 'ALL');
  await failFast(400);
  await sleep(700);
  await redis.check();
  admin.disconnect();
});

it('closes twice without complaint and answers DEPENDENCY_UNAVAILABLE afterwards', async () => {
  await redis.close();
  await redis.close();
  await failFast(100);
});

it('keeps trying when it was started before Redis', async () => {
  const port = await freePort();
  const early = new RedisClient({ url: `redis://127.0.0.1:${port}`, name: 'early' }, log);
  await expect(early.check()).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
  await expect(early.ready(100)).rejects.toMatchObject({
    code: 'DEPENDENCY_UNAVAILABLE',
    message: expect.stringContaining('no connection within 100 ms'),
  });
  const late = new Road(port, new URL(database.url));
  await late.open();
  await early.ready(3_000);
  await early.check();
  await early.close();
  await late.cut();
});
