import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { FeatureStoreDefinition, type OnlineVector } from '@headrace/contracts/features/v1/features';
import { parseDefinitionsFile } from '@headrace/definitions/yaml-file';
import { start } from '@headrace/feature-store/start';
import { createClient, type Client } from '@headrace/platform/grpc/client';
import type { RunningService } from '@headrace/platform/service';
import { freshDatabase, freshRedis, freshTopicPrefix, useEngines } from '@headrace/testkit/engines';
import { PREPARE_PYTHON_TIMEOUT_MS, preparePython, pythonHome } from '@headrace/testkit/python-environment';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const HERE = fileURLToPath(new URL('./python/', import.meta.url));
const SDK_TIMEOUT_MS = 180_000;

/** What the SDK's own definitions in python/remote_store.py say, in ours. A push source is the view of the same name. */
const DEFINITIONS = `
kind: Entity
name: person
joinKeys: [person_id]
---
kind: Entity
name: shop
joinKeys: [shop_id]
---
kind: FeatureView
name: profile
entity: person
ttl: 30d
features:
  - { name: age, type: int64, max: 120 }
  - { name: amount, type: float64 }
  - { name: city, type: string }
  - { name: member, type: bool }
  - { name: seen, type: timestamp }
  - { name: taste, type: embedding, dimension: 2 }
---
kind: FeatureView
name: visits
entity: person
ttl: 10d
features: [{ name: count, type: int64 }]
---
kind: FeatureView
name: sales
entity: shop
features: [{ name: total, type: float64 }]
---
kind: FeatureService
name: scoring
precomputed: true
features: [profile:age, profile:amount, visits]
`;
const PROFILE = ['age', 'amount', 'city', 'member', 'seen', 'taste'];
const PEOPLE = ['p1', 'p2', 'p3', 'old', 'nobody'];

interface Answer {
  readonly values: Readonly<Record<string, readonly unknown[]>>;
  readonly statuses: Readonly<Record<string, readonly string[]>>;
  /** What each value is in Python. */
  readonly types: Readonly<Record<string, readonly string[]>>;
}
interface Report {
  readonly named: Answer;
  readonly service: Answer;
  readonly integers: Answer;
  readonly times: { readonly time: string; readonly seen: readonly number[] };
  readonly refusal: string;
}

const hasPython = spawnSync('python3', ['-c', 'import sys, venv, ensurepip; assert sys.version_info >= (3, 10)']).status === 0;

describe.skipIf(!hasPython)('the feast SDK with a remote online store, which needs Python 3.10 with venv', () => {
  let service: RunningService;
  let client: Client<typeof FeatureStoreDefinition>;
  let report: Report;
  const cleanUp: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    const python = await feastPython();
    const folder = await mkdtemp(join(tmpdir(), 'headrace-feast-'));
    const [database, redis] = await Promise.all([freshDatabase('feature_store'), freshRedis()]);
    service = await start({
      httpPort: 0,
      grpcPort: 0,
      kafkaBrokers: useEngines().kafkaBrokers,
      postgresUrl: database.url,
      redisUrl: redis.url,
      topicPrefix: freshTopicPrefix('feast'),
      stateDir: join(folder, 'state'),
      logLevel: 'error',
      registryGrpc: '127.0.0.1:1',
    });
    client = createClient(FeatureStoreDefinition, service.grpcAddress, { defaultTimeoutMs: 60_000 });
    cleanUp.push(
      () => service.close(),
      () => database.drop(),
      () => rm(folder, { recursive: true, force: true }),
    );
    const definitions = parseDefinitionsFile(DEFINITIONS, 'feast.yaml');
    await client.apply({ definitions: definitions.map(({ kind, name, spec }) => ({ kind, name, spec: { ...spec } })) });
    report = await runSdk(python, folder, service.httpUrl);
  }, PREPARE_PYTHON_TIMEOUT_MS);

  afterAll(async () => {
    client?.close();
    for (const step of cleanUp) await step();
  });

  async function ours(request: object, keys: readonly Record<string, string>[]): Promise<OnlineVector[]> {
    return (await client.getOnlineFeatures({ ...request, entities: keys.map((one) => ({ keys: one })) })).vectors;
  }
  const people = PEOPLE.map((person_id) => ({ person_id }));

  it('reads what it wrote, value by value and status by status, as our own API gives it', async () => {
    const names = [...PROFILE, 'count'];
    const vectors = await ours({ features: [...PROFILE.map((name) => `profile:${name}`), 'visits:count'] }, people);
    for (const [i, name] of names.entries()) {
      expect(report.named.values[name], name).toEqual(vectors.map(({ values }) => inFeast(name, values[i])));
      expect(report.named.statuses[name], name).toEqual(vectors.map(({ statuses }) => statuses[i]!.replace('FIELD_STATUS_', '')));
    }
    expect(report.named.values['person_id']).toEqual(PEOPLE);
  });

  it('wrote the values, nulls, times and lists that it was given', () => {
    const { values, statuses, types } = report.named;
    expect(values['age']).toEqual([41, 7, null, null, null]);
    expect(statuses['age']).toEqual(['PRESENT', 'PRESENT', 'NULL_VALUE', 'OUTSIDE_MAX_AGE', 'NOT_FOUND']);
    expect(values['amount']).toEqual([1.5, 2, null, null, null]);
    expect(types['amount']).toEqual(['float', 'float', 'NoneType', 'NoneType', 'NoneType']);
    expect(values['city']).toEqual(['Łódź', '', null, null, null]);
    expect(values['member']).toEqual([true, false, null, null, null]);
    expect(values['seen']).toEqual([1_767_323_045, 1_767_323_045, null, null, null]);
    expect(values['taste']).toEqual([[0.5, 1], [0.25, -3], null, null, null]);
    expect(statuses['count']).toEqual(['PRESENT', 'OUTSIDE_MAX_AGE', 'NOT_FOUND', 'NOT_FOUND', 'NOT_FOUND']);
  });

  it('reads a feature service, here a precomputed one', async () => {
    const vectors = await ours({ featureService: 'scoring' }, people);
    for (const [i, name] of ['age', 'amount', 'count'].entries()) {
      expect(report.service.values[name], name).toEqual(vectors.map(({ values }) => values[i]));
      expect(report.service.statuses[name], name).toEqual(vectors.map(({ statuses }) => statuses[i]!.replace('FIELD_STATUS_', '')));
    }
  });

  it('asks by keys that are integers, and gets them back as such', () => {
    expect(report.integers.values).toEqual({ shop_id: [1, 3, 2], total: [1.5, null, 2.5] });
    expect(report.integers.statuses['total']).toEqual(['PRESENT', 'NOT_FOUND', 'PRESENT']);
  });

  it('has our event times, and times as values in its own unit', async () => {
    const [vector] = await ours({ features: ['profile:age', 'profile:seen'] }, [{ person_id: 'p1' }]);
    expect(new Date(report.times.time)).toEqual(vector!.eventTimes[0]);
    expect(report.times.seen).toEqual([(vector!.values[1] as number) / 1000]);
  });

  it('is told which rows were refused, and the others are stored', async () => {
    expect(report.refusal).toMatch(/1 rows were refused.*row 0.*age/);
    const vectors = await ours({ features: ['profile:age'] }, [{ person_id: 'p4' }, { person_id: 'p5' }]);
    expect(vectors.map(({ values }) => values[0])).toEqual([null, 5]);
  });
});

/** Feast keeps times as values in seconds. */
function inFeast(name: string, value: unknown): unknown {
  return name === 'seen' && value !== null ? (value as number) / 1000 : value;
}

/** Made once for each content of the lock file. @returns path of its interpreter */
function feastPython(): Promise<string> {
  return preparePython({
    home: pythonHome('python-conformance-feast'),
    lock: join(HERE, 'requirements.lock'),
    modules: ['feast'],
    // The lock leaves out what only Feast's servers and other stores need, so pip must not look for it.
    environment: { PIP_NO_DEPS: '1' },
  });
}

async function runSdk(python: string, folder: string, url: string): Promise<Report> {
  const config = [
    'project: default',
    'provider: local',
    `registry: ${join(folder, 'registry.db')}`,
    'entity_key_serialization_version: 3',
    `online_store: { type: remote, path: '${url}' }`,
    'offline_store: { type: file }',
  ];
  await writeFile(join(folder, 'feature_store.yaml'), `${config.join('\n')}\n`);
  // No usage statistics of Feast, and nothing of our environment.
  const env = { PATH: dirname(python), HOME: folder, FEAST_USAGE: 'False', PYTHONDONTWRITEBYTECODE: '1' };
  const { stdout } = await promisify(execFile)(python, [join(HERE, 'remote_store.py'), folder], {
    cwd: folder,
    env,
    timeout: SDK_TIMEOUT_MS,
  });
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as Report;
}
