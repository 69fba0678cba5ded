import { PredictionDefinition } from '@headrace/contracts/serving/v1/serving';
import { HealthDefinition, HealthCheckResponse_ServingStatus as ServingStatus } from '@headrace/contracts/grpc/health/v1/health';
import { createClient } from '@headrace/platform/grpc/client';
import { eventually } from '@headrace/testkit/eventually';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Harness, TRANSPORTS } from './harness.js';
import { PredictClient } from './predict-client.js';
import { biased, fixture, goldenFor, logistic } from './peers.js';

describe.each(TRANSPORTS)('serving over %s', (grpcTransport) => {
  let h: Harness;
  beforeAll(async () => {
    h = await Harness.start({ grpcTransport });
  });
  afterAll(() => h.close());

  const scoreOf = async (model: string, version = 0): Promise<{ version: number; score: number; arm: string }> => {
    const answer = await h.client.predict({ model, version, dense: [[1, 2, 3]] });
    return { version: answer.version, arm: answer.arm, score: answer.rows[0]!.score };
  };
  const failed = (model: string, version: number, detail: RegExp): Promise<unknown> =>
    eventually(`the failure of ${model}/${version} is published`, () =>
      h.rollouts.some((r) => r.model === model && r.version === version && r.step === 'failed' && detail.test(r.detail)),
    );
  const artifactPath = (sha256: string): string => join(h.config.stateDir!, 'serving', 'artifacts', sha256);

  describe('a hot swap', () => {
    it('loses and mixes nothing: 50 swaps under constant load, each answer that of the version it names', async () => {
      const biases = [-1.5, -0.5, 0, 0.75, 2];
      for (let version = 1; version <= 51; version++) h.peers.addLogistic('swap', version, biases[version % 5]!);
      await h.serve('swap', 1);
      const wire = PredictClient.overWire(h.service.grpcAddress);
      const load = startLoad(16, async (i) => {
        const row = [(i % 7) - 3, i % 5, (i % 3) - 1] as const;
        const isEntity = i % 8 < 2;
        const client = i % 2 === 0 ? h.client : wire;
        const { version, rows } = await client.predict({
          model: 'swap',
          ...(isEntity ? { entities: [`nobody-${i}`], columns: { a: [row[0]], b: [row[1]], c: [row[2]] } } : { dense: [[...row]] }),
        });
        expect(rows[0]!.score).toBeCloseTo(logistic(...row, biases[version % 5]!), 5);
        return version;
      });
      for (let version = 2; version <= 51; version++) {
        await h.promote('swap', version);
        await eventually(`version ${version} answers`, async () => (await scoreOf('swap')).version === version, { everyMs: 2 });
      }
      const { answered, failures, seen } = await load.stop();
      wire.close();
      expect(failures).toEqual([]);
      expect(answered).toBeGreaterThan(500);
      expect(seen.size).toBeGreaterThan(25);
      await eventually('only the last version is left', async () => {
        const loaded = (await h.admin.listLoaded({})).loaded.filter((l) => l.model === 'swap');
        expect(loaded.map((l) => [l.version, l.state, l.champion])).toEqual([[51, 'LOAD_STATE_LOADED', true]]);
      });
      await eventually('each swap and each unloading is published', () => {
        const steps = h.rollouts.filter((r) => r.model === 'swap');
        expect(steps.filter((r) => r.step === 'swapped').map((r) => [r.version, r.previousVersion])).toEqual(
          Array.from({ length: 51 }, (_, i) => [i + 1, i]),
        );
        expect(steps.filter((r) => r.step === 'unloaded')).toHaveLength(50);
      });
    });

    it('is found without an event, because the registry is asked now and then', async () => {
      const own = await Harness.start({ grpcTransport, pollMs: 200 });
      try {
        own.peers.addLogistic('quiet', 1, 1);
        await own.promote('quiet', 1, { isSilent: true });
        await eventually('it is served', () => own.client.predict({ model: 'quiet', dense: [[1, 2, 3]] }));
      } finally {
        await own.close();
      }
    });
  });

  describe('a bad version', () => {
    beforeAll(async () => {
      h.peers.addLogistic('m', 1, 0.5);
      await h.serve('m', 1);
    });
    const stillOne = async (): Promise<void> =>
      expect(await scoreOf('m')).toEqual({ version: 1, arm: 'champion', score: expect.closeTo(logistic(1, 2, 3, 0.5), 5) });
    const bytes = biased(3);

    it('whose bytes do not match their hash is fetched once more, refused, and keeps the old one', async () => {
      const wrong = 'a'.repeat(64);
      h.peers.add({ model: 'm', version: 2, bytes, golden: goldenFor(3), sha256: wrong });
      await h.promote('m', 2);
      await failed('m', 2, /^ARTIFACT_CORRUPT: artefact a{64} came twice with other content/);
      expect(h.peers.fetched.get(wrong)).toBe(2);
      await stillOne();
      expect(await readdir(join(h.config.stateDir!, 'serving', 'artifacts'))).not.toContain(wrong);
      const listed = (await h.admin.listLoaded({ project: 'default' })).loaded.find((l) => l.model === 'm' && l.version === 2);
      expect(listed).toMatchObject({ state: 'LOAD_STATE_FAILED', failure: expect.stringContaining('came twice') });
    });

    it.each<[string, number, Parameters<Harness['peers']['add']>[0], RegExp]>([
      [
        'that is no model',
        3,
        { model: 'm', version: 3, bytes: Buffer.from('not a model'), golden: goldenFor(3) },
        /^ARTIFACT_REFUSED: .*not an ONNX file/,
      ],
      [
        'that keeps weights in another file',
        4,
        { model: 'm', version: 4, bytes: fixture('external'), golden: goldenFor(3) },
        /^ARTIFACT_REFUSED: .*external data/,
      ],
      [
        'that answers its golden rows differently',
        5,
        { model: 'm', version: 5, bytes, golden: goldenFor(-3) },
        /^MODEL_LOAD_FAILED: m\/5 answers golden row 0/,
      ],
      ['without golden rows', 6, { model: 'm', version: 6, bytes, golden: {} }, /^MODEL_LOAD_FAILED: .*no usable golden rows/],
      [
        'whose graph does not fit its signature',
        7,
        { model: 'm', version: 7, bytes: fixture('text'), golden: goldenFor(3) },
        /^MODEL_LOAD_FAILED: .*does not fit its signature/,
      ],
      [
        'that only the runtime finds broken',
        8,
        { model: 'm', version: 8, bytes: brokenInside(), golden: goldenFor(3) },
        /^MODEL_LOAD_FAILED: m\/8 did not survive its first load/,
      ],
    ])('%s is refused and keeps the old one', async (_name, number, version, detail) => {
      h.peers.add(version);
      await h.promote('m', number);
      await failed('m', number, detail);
      await stillOne();
    });
  });

  describe('a pinned version', () => {
    it('is loaded beside the champion, answers by its number, and outlives swaps', async () => {
      for (const [version, bias] of [
        [1, 0],
        [2, 1],
        [3, 2],
      ] as const)
        h.peers.addLogistic('pins', version, bias);
      await h.serve('pins', 1);
      expect(await h.admin.loadVersion({ model: 'pins', version: 2 })).toMatchObject({
        version: 2,
        champion: false,
        state: 'LOAD_STATE_LOADED',
      });
      expect(await scoreOf('pins', 2)).toEqual({ version: 2, arm: 'pinned', score: expect.closeTo(logistic(1, 2, 3, 1), 5) });
      await h.serve('pins', 3);
      expect(await scoreOf('pins')).toMatchObject({ version: 3, arm: 'champion' });
      expect(await scoreOf('pins', 2)).toMatchObject({ version: 2, arm: 'pinned' });
      await expect(scoreOf('pins', 1)).rejects.toMatchObject({ code: 'VERSION_UNKNOWN' });
      await expect(h.admin.loadVersion({ model: 'pins', version: 99 })).rejects.toMatchObject({ code: 'VERSION_UNKNOWN' });
      await expect(h.admin.loadVersion({ model: 'pins', version: 0 })).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
    });
  });

  describe('a graceful stop', () => {
    it('under load answers all that it began: callers, account and log count the same, and the rest hears that nobody is there', async () => {
      const own = await Harness.start({ grpcTransport });
      try {
        own.peers.addLogistic('m', 1, 0.5);
        await own.serve('m', 1);
        await own.online('person', 'e', [1, 2, 'f']);
        await own.online('account', 'e', [3, 'Bern']);
        const wire = PredictClient.overWire(own.service.grpcAddress);
        const counts = { answered: 0, refused: [] as unknown[] };
        const caller = async (client: PredictClient, input: object): Promise<void> => {
          for (;;) {
            try {
              const { rows } = await client.predict({ model: 'm', ...input });
              expect(rows[0]!.score).toBeCloseTo(logistic(1, 2, 3, 0.5), 5);
              counts.answered++;
            } catch (error) {
              counts.refused.push(error);
              return;
            }
          }
        };
        const load = Array.from({ length: 64 }, (_, i) =>
          caller(i % 2 === 0 ? own.client : wire, i % 4 < 2 ? { dense: [[1, 2, 3]] } : { entities: ['e'] }),
        );
        await eventually('the load runs', () => counts.answered > 500);
        await own.service.close();
        await Promise.all(load);
        wire.close();
        // grpc-js: our code for UNAVAILABLE; our own client: its number.
        expect(
          counts.refused.filter((error) => !['DEPENDENCY_UNAVAILABLE', 14].includes((error as { code: string | number }).code)),
        ).toEqual([]);
        await eventually('the last batch is here', () => {
          expect(own.logged.reduce((sum, batch) => sum + batch.predictionIds.length, 0)).toBe(counts.answered);
        });
        expect(own.logged.at(-1)!.account).toMatchObject({ answered: counts.answered, logged: counts.answered, dropped: 0 });
      } finally {
        await own.close();
      }
    });
  });

  describe('a restart', () => {
    it('serves from the cache with the registry, the feature store and Kafka down, then follows again', async () => {
      h.peers.addLogistic('kept', 1, -0.5);
      const second = h.peers.addLogistic('kept', 2, 0.5);
      await h.serve('kept', 1);
      await h.online('person', 'k', [1, 2, 'f']);
      await h.online('account', 'k', [3, 'Bern']);
      await h.stopService();
      h.peers.isDown = true;
      await h.startService({ kafkaBrokers: ['127.0.0.1:1'], shutdownTimeoutMs: 500 });
      const byEntity = await h.client.predict({ model: 'kept', entities: ['k'] });
      expect(byEntity.rows[0]).toMatchObject({ stale: false, score: expect.closeTo(logistic(1, 2, 3, -0.5), 5) });
      expect((await fetch(`${h.service.httpUrl}/health/ready`)).status).toBe(200);
      await h.stopService();
      h.peers.isDown = false;
      h.peers.setChampion('kept', 2);
      await h.startService();
      await eventually('the new champion is served', async () => (await scoreOf('kept')).version === 2);
      expect(h.peers.fetched.get(second)).toBe(1);
    });

    it('fetches an artefact anew when its file in the cache has gone bad', async () => {
      const sha256 = h.peers.addLogistic('rotten', 1, 0.1);
      await h.serve('rotten', 1);
      const good = await readFile(artifactPath(sha256));
      await h.stopService();
      await writeFile(artifactPath(sha256), Buffer.concat([good.subarray(0, 100), Buffer.alloc(50)]));
      await h.startService();
      await eventually('it is served', () => scoreOf('rotten'));
      expect(await readFile(artifactPath(sha256))).toEqual(good);
      expect(h.peers.fetched.get(sha256)).toBe(2);
    });

    it('starts without its saved routing when that is unreadable', async () => {
      await h.stopService();
      await rm(join(h.config.stateDir!, 'serving', 'routing.json'));
      await writeFile(join(h.config.stateDir!, 'serving', 'routing.json'), '{"format":1,"champions":[{');
      await h.startService();
      await eventually('the registry has told all', () => scoreOf('rotten'));
    });
  });

  it('stops gracefully: every request that was inside is answered', async () => {
    h.peers.addLogistic('bye', 1, 0.3);
    await h.serve('bye', 1);
    const health = createClient(HealthDefinition, h.service.grpcAddress);
    expect(await health.check({ service: PredictionDefinition.fullName })).toMatchObject({ status: ServingStatus.SERVING });
    health.close();
    const answers = Promise.allSettled(
      Array.from({ length: 20 }, () => h.client.predict({ model: 'bye', dense: new Float32Array(30_000) })),
    );
    await eventually('they are inside', async () =>
      /headrace_serving_inside\{unit="requests",service="serving"\} [1-9]/.test(await (await fetch(`${h.service.httpUrl}/metrics`)).text()),
    );
    const closing = h.service.close();
    const codes = (await answers).map((answer) => (answer.status === 'fulfilled' ? 'answered' : (answer.reason as { code: string }).code));
    await closing;
    // OVERLOADED is the bound of rows, at once; what was let in was answered.
    expect(codes.filter((code) => code !== 'answered' && code !== 'OVERLOADED')).toEqual([]);
    expect(codes).toContain('answered');
    await h.startService();
  });
});

/** A model whose protobuf is fine and whose graph is not: the weights lost a row. */
function brokenInside(): Buffer {
  const bytes = fixture('logistic');
  const weights = Buffer.from(Float32Array.of(0.5, -0.25, 1).buffer);
  const at = bytes.indexOf(weights);
  // `dims: 3` of the weights becomes 7; the bytes behind do not.
  const dims = bytes.lastIndexOf(Buffer.from([0x08, 0x03, 0x08, 0x01]), at);
  bytes[dims + 1] = 7;
  return bytes;
}

/** Callers that send one request after the other until they are stopped. */
function startLoad(
  callers: number,
  call: (i: number) => Promise<number>,
): { stop(): Promise<{ answered: number; failures: unknown[]; seen: Set<number> }> } {
  let isStopped = false;
  let answered = 0;
  let next = 0;
  const failures: unknown[] = [];
  const seen = new Set<number>();
  const caller = async (): Promise<void> => {
    while (!isStopped) {
      try {
        seen.add(await call(next++));
        answered++;
      } catch (error) {
        failures.push(error);
      }
    }
  };
  const running = Array.from({ length: callers }, caller);
  return {
    stop: async () => {
      isStopped = true;
      await Promise.all(running);
      return { answered, failures, seen };
    },
  };
}
