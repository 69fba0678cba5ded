import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dataDir, engineDir, logFile, pidFile } from '../layout.js';
import { spawnServer, type PidRecord } from '../processes.js';
import { waitUntilReady } from '../wait-ready.js';
import type { RedisProgram } from './find-redis.js';
import { probeRedis } from './probe-redis.js';

const READY_BOUND_MS = 30_000;

export async function startRedis(stateDir: string, program: RedisProgram, port: number, durable: boolean): Promise<PidRecord> {
  const data = dataDir(stateDir, 'redis');
  mkdirSync(data, { recursive: true });
  const configFile = join(engineDir(stateDir, 'redis'), 'redis.conf');
  writeFileSync(configFile, redisConfig(port, data, durable));
  const log = logFile(stateDir, 'redis');
  const record = await spawnServer('redis', program.path, [configFile], {
    port,
    durable,
    cwd: data,
    logFile: log,
    pidFile: pidFile(stateDir, 'redis'),
  });
  await waitUntilReady(record, () => probeRedis(redisUrl(port), { pid: record.pid }), READY_BOUND_MS, log);
  return record;
}

export function redisUrl(port: number): string {
  return `redis://127.0.0.1:${port}/0`;
}

/**
 * Loopback only, no snapshots (a fork doubles the memory), and never an eviction: the online store must refuse a write rather than
 * forget a row silently. Durable keeps an append-only file, synced each second; the truth is in Postgres anyway.
 */
export function redisConfig(port: number, folder: string, durable: boolean): string {
  return [
    'bind 127.0.0.1',
    'protected-mode yes',
    `port ${port}`,
    `dir "${folder}"`,
    'daemonize no',
    'databases 64',
    'save ""',
    `appendonly ${durable ? 'yes' : 'no'}`,
    'appendfsync everysec',
    'maxmemory-policy noeviction',
    '',
  ].join('\n');
}
