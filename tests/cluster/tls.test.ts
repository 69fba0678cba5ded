import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HeadraceClient } from '@headrace/client/client';
import { FeatureCatalogueDefinition } from '@headrace/contracts/features/v1/catalogue';
import { FeatureStoreDefinition } from '@headrace/contracts/features/v1/features';
import { MonitorDefinition } from '@headrace/contracts/monitoring/v1/monitoring';
import { RegistryDefinition } from '@headrace/contracts/registry/v1/registry';
import { RunState, TrainerDefinition } from '@headrace/contracts/training/v1/training';
import { createClient, type Client } from '@headrace/platform/grpc/client';
import type { ServiceDefinition } from '@headrace/platform/grpc/definition';
import { fetchOver } from '@headrace/platform/http/fetch';
import type { RunningService } from '@headrace/platform/service';
import { CertificateFolder, TestAuthority } from '@headrace/testkit/certificates';
import { freshDatabase, freshRedis, freshTopicPrefix, useEngines } from '@headrace/testkit/engines';
import { eventually } from '@headrace/testkit/eventually';
import { LiveTlsMaterial } from '@headrace/wire/tls-material';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { start as startFeatureStore } from '../../services/feature-store/src/start.js';
import { start as startMonitor } from '../../services/monitor/src/start.js';
import { start as startRegistry } from '../../services/registry/src/start.js';
import { onnx, onnxSha256, registration, smallSpec } from '../../services/registry/test/support.js';
import { start as startServing } from '../../services/serving/src/start.js';
import { start as startTrainer } from '../../services/trainer/src/start.js';

const API_KEY = 'a-key-of-the-tls-test';
const authority = new TestAuthority();
const folder = new CertificateFolder();
const stateDir = mkdtempSync(join(tmpdir(), 'headrace-tls-cluster-'));
const ours = authority.issue({ name: 'test' });
const tls = new LiveTlsMaterial({ ca: Buffer.from(authority.cert), cert: Buffer.from(ours.cert), key: Buffer.from(ours.key) });

/** A person of the fixture's golden rows, whose score is known. */
const PERSON = { age: 26, income: 10.210000038146973, member: false, sector: 6, town: 'Boston' };
const SCORE = 0.02060908079147339;
const DAY_MS = 86_400_000;

describe('five services that speak TLS, each with a certificate of its own, and want one of every caller', () => {
  const running: RunningService[] = [];
  const closing: (() => unknown)[] = [];
  let at: Record<'features' | 'registry' | 'trainer' | 'serving' | 'monitor', RunningService>;

  beforeAll(async () => {
    const engines = useEngines();
    const redis = await freshRedis();
    const topicPrefix = freshTopicPrefix('tls');
    const common = async (name: string) => {
      const { certFile, keyFile } = folder.write(name, authority.issue({ name }));
      const caFile = folder.file('ca.crt', authority.cert);
      const database = await freshDatabase(`tls_${name}`);
      closing.push(() => database.drop());
      return {
        ...{ httpPort: 0, grpcPort: 0, logLevel: 'error' as const, stateDir, apiKey: API_KEY, topicPrefix },
        ...{ kafkaBrokers: engines.kafkaBrokers, redisUrl: redis.url, postgresUrl: database.url },
        ...{ tlsCertFile: certFile, tlsKeyFile: keyFile, tlsClientCaFile: caFile, tlsCaFile: caFile },
      };
    };
    const begin = async (service: Promise<RunningService>): Promise<RunningService> => {
      running.push(await service);
      return service;
    };
    const registry = await begin(startRegistry(await common('registry')));
    const registryAt = { registryGrpc: registry.grpcAddress, registryHttp: registry.httpUrl };
    const features = await begin(startFeatureStore({ ...(await common('features')), ...registryAt }));
    const featuresAt = { featureStoreGrpc: features.grpcAddress, featureStoreHttp: features.httpUrl };
    const [trainer, monitor, serving] = await Promise.all([
      common('trainer').then((more) => begin(startTrainer({ ...more, ...registryAt, ...featuresAt }))),
      common('monitor').then((more) => begin(startMonitor({ ...more, ...registryAt }))),
      common('serving').then((more) => begin(startServing({ ...more, ...registryAt, ...featuresAt, logFlushMs: 20 }))),
    ]);
    at = { features, registry, trainer, serving, monitor };
  });

  afterAll(async () => {
    for (const service of running.reverse()) await service.close();
    for (const close of closing.reverse()) await close();
    folder.remove();
    rmSync(stateDir, { recursive: true, force: true });
  });

  function client<D extends ServiceDefinition>(definition: D, service: RunningService): Client<D> {
    const made = createClient(definition, service.grpcAddress, { apiKey: API_KEY, tls, defaultTimeoutMs: 20_000 });
    closing.push(() => made.close());
    return made;
  }

  it('take features, register and promote a model, predict with it by entity, and see the prediction in the monitor', async () => {
    const features = client(FeatureStoreDefinition, at.features);
    const types = { age: 'int64', income: 'float64', member: 'bool', sector: 'int64', town: 'string', group: 'int64' };
    await features.apply({
      definitions: [
        { kind: 'Entity', name: 'person', spec: { joinKeys: ['person_id'] } },
        {
          kind: 'FeatureView',
          name: 'person',
          spec: { entity: 'person', features: Object.entries(types).map(([name, type]) => ({ name, type })) },
        },
      ],
    });
    const { accepted } = await features.publishRows({
      view: 'person',
      rows: [{ entity: { person_id: '42' }, eventTime: new Date(Date.now() - DAY_MS), values: { ...PERSON, group: 1 } }],
    });
    expect(accepted).toBe(1);

    const registry = client(RegistryDefinition, at.registry);
    await registry.applyModel({ definitions: [{ kind: 'Model', name: 'small', spec: smallSpec as Record<string, unknown> }] });
    const upload = await fetchOver(tls)(`${at.registry.httpUrl}/artifacts/${onnxSha256}`, {
      method: 'PUT',
      body: new Blob([new Uint8Array(onnx)]),
      headers: { 'content-type': 'application/octet-stream', authorization: `Bearer ${API_KEY}` },
    });
    expect(upload.ok, await upload.text()).toBe(true);
    expect(await registry.registerVersion(registration('run-1'))).toMatchObject({ version: 1, aliases: ['champion'] });

    const serving = new HeadraceClient({ address: at.serving.grpcAddress, apiKey: API_KEY, tls: tls.material, timeoutMs: 5_000 });
    closing.push(() => serving.close());
    const answer = await eventually('version 1 answers', () => serving.predict({ model: 'small', entities: ['42'] }), { withinMs: 30_000 });
    expect(answer).toMatchObject({ version: 1, arm: 'champion' });
    expect(answer.rows[0]).toMatchObject({ label: 0, stale: false });
    expect(answer.rows[0]!.score).toBeCloseTo(SCORE, 5);

    const monitor = client(MonitorDefinition, at.monitor);
    const span = { from: new Date(Date.now() - DAY_MS), to: new Date(Date.now() + DAY_MS) };
    await eventually(
      'the monitor has counted the prediction',
      async () => expect((await monitor.getReport({ model: 'small', ...span })).predictions).toBeGreaterThanOrEqual(1),
      { withinMs: 30_000 },
    );
  });

  it('reach the registry by TLS for what they ask it besides: who reads a feature, what a run trains', async () => {
    const catalogue = client(FeatureCatalogueDefinition, at.features);
    expect(await catalogue.searchFeatures({ text: 'income' })).toMatchObject({ modelsKnown: true });
    const run = await client(TrainerDefinition, at.trainer).requestRun({ model: 'small', reason: 'manual' });
    expect(run.state).toBe(RunState.QUEUED);
    await expect(client(TrainerDefinition, at.trainer).requestRun({ model: 'none', reason: 'manual' })).rejects.toMatchObject({
      code: 'MODEL_UNKNOWN',
    });
  });

  it('answer nobody without a certificate but those who ask for health and metrics', async () => {
    const stranger = new LiveTlsMaterial({ ca: Buffer.from(authority.cert) });
    for (const { name, httpUrl, grpcAddress } of running) {
      expect((await fetchOver(stranger)(`${httpUrl}/health/ready`)).status, name).toBe(200);
      expect(await (await fetchOver(stranger)(`${httpUrl}/metrics`)).text(), name).toContain('headrace_tls_not_after_timestamp_seconds');
      await expect(fetch(`${httpUrl.replace('https', 'http')}/health/live`), name).rejects.toThrow();
      const refused = createClient(RegistryDefinition, grpcAddress, { apiKey: API_KEY, tls: stranger, defaultTimeoutMs: 5_000 });
      await expect(refused.listModels({}), name).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
      refused.close();
    }
  });
});
