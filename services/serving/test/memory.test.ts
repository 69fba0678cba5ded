import { ONNXRUNTIME_VERSION } from '@headrace/executor/onnx-runtime';
import { GRPCInferenceServiceDefinition, ModelInferRequest } from '@headrace/contracts/inference/grpc_service';
import { createClient } from '@headrace/platform/grpc/client';
import { eventually } from '@headrace/testkit/eventually';
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Harness } from './harness.js';
import { logistic } from './peers.js';
import { PredictClient } from './predict-client.js';

const MIB = 2 ** 20;
const NAMES = ['a', 'b', 'c', 'd', 'kept'] as const;

describe('more models than memory', () => {
  let h: Harness;
  const proofs = new Map<string, string>();
  const prove = (sha256: string, mib: number): Promise<void> =>
    writeFile(proofs.get(sha256)!, JSON.stringify({ rowMs: 0, residentBytes: mib * MIB }));
  beforeAll(async () => {
    h = await Harness.start({ memoryMib: 30, keepLoaded: ['kept'], pollMs: 200 });
    await mkdir(join(h.config.stateDir!, 'serving', 'artifacts'), { recursive: true });
    for (const [i, name] of NAMES.entries()) {
      const sha256 = h.peers.addLogistic(name, 1, i);
      proofs.set(sha256, join(h.config.stateDir!, 'serving', 'artifacts', `${sha256}.proven-${ONNXRUNTIME_VERSION}`));
      await prove(sha256, 10);
    }
    for (const name of ['kept', 'a', 'b'] as const) await h.serve(name, 1);
  });
  afterAll(() => h.close());

  const states = async (): Promise<Record<string, string>> =>
    Object.fromEntries((await h.admin.listLoaded({})).loaded.map((l) => [l.model, l.state.replace('LOAD_STATE_', '')]));
  const ask = (model: string): Promise<unknown> => h.client.predict({ model, dense: [[1, 2, 3]] }).then(({ rows }) => rows[0]!.score);
  const expected = (name: (typeof NAMES)[number]): unknown => expect.closeTo(logistic(1, 2, 3, NAMES.indexOf(name)), 5);

  it('unloads the one that was used longest ago, never the one that shall stay, and asks the registry for none of them again', async () => {
    await ask('b');
    await ask('a');
    await h.serve('c', 1);
    expect(await states()).toEqual({ kept: 'LOADED', a: 'LOADED', b: 'UNLOADED', c: 'LOADED' });
    // Several polls later the registry's champions are all served or asleep, and nothing was loaded again.
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(await states()).toEqual({ kept: 'LOADED', a: 'LOADED', b: 'UNLOADED', c: 'LOADED' });
    expect(await (await fetch(`${h.service.httpUrl}/metrics`)).text()).toMatch(/headrace_serving_models_bytes\{[^}]*\} 31457280/);
  });

  it('loads one that sleeps when it is asked for: the caller is told to come again, and is answered soon', async () => {
    // The other client of these tests tries again by itself.
    const impatient = PredictClient.overWire(h.service.grpcAddress);
    await expect(impatient.predict({ model: 'b', dense: [[1, 2, 3]] })).rejects.toMatchObject({
      code: 14,
      message: expect.stringContaining('being loaded again'),
    });
    impatient.close();
    expect(await eventually('b answers', () => ask('b'))).toEqual(expected('b'));
    expect(await states()).toMatchObject({ kept: 'LOADED', a: 'UNLOADED', b: 'LOADED', c: 'LOADED' });
    await eventually('it is told', () => h.rollouts.some((r) => r.model === 'a' && r.step === 'unloaded' && r.detail === 'memory budget'));
  });

  it('takes any of them in turn, each answering as itself', async () => {
    await h.serve('d', 1);
    for (const name of ['a', 'b', 'c', 'd', 'kept', 'a', 'd', 'b'] as const)
      expect(await eventually(`${name} answers`, () => ask(name))).toEqual(expected(name));
    expect(Object.values(await states()).filter((state) => state === 'LOADED')).toHaveLength(3);
  });

  it('loads one that sleeps for tensors too, and one that was unloaded by name sleeps no more', async () => {
    const client = createClient(GRPCInferenceServiceDefinition, h.service.grpcAddress);
    const asleep = async (): Promise<string> => Object.entries(await states()).find(([, state]) => state === 'UNLOADED')![0];
    try {
      const name = (await asleep()) as (typeof NAMES)[number];
      expect(await client.modelReady({ name, version: '' })).toEqual({ ready: false });
      await eventually('it is ready', async () => (await client.modelReady({ name, version: '' })).ready);
      const inputs = [{ name: 'features', datatype: 'FP32', shape: [1, 3], contents: { fp32Contents: [1, 2, 3] } }];
      const infer = (modelName: string) => client.modelInfer(ModelInferRequest.fromPartial({ modelName, inputs }));
      expect((await infer(name)).outputs[1]!.contents!.fp32Contents[1]).toEqual(expected(name));

      const described = await asleep();
      await eventually('it is described', () =>
        h.admin.describeVersion({ project: '', model: described, version: 0 }).catch(() => undefined),
      );
      const other = await asleep();
      await client.repositoryModelUnload({ repositoryName: '', modelName: other, parameters: {} });
      await expect(infer(other)).rejects.toMatchObject({ code: 'MODEL_NOT_LOADED' });
      expect(await states()).not.toHaveProperty(other);
      await client.repositoryModelLoad({ repositoryName: '', modelName: other, parameters: {} });
      expect((await infer(other)).outputs[1]!.contents!.fp32Contents[1]).toEqual(expected(other as (typeof NAMES)[number]));
    } finally {
      client.close();
    }
  });

  it('keeps those that sleep over a restart, and serves a new champion of one of them', async () => {
    await h.stopService();
    const saved = JSON.parse(readFileSync(join(h.config.stateDir!, 'serving', 'routing.json'), 'utf8')) as {
      champions: { model: string }[];
    };
    expect(saved.champions.map((c) => c.model).sort()).toEqual([...NAMES]);
    await h.startService();
    expect(Object.values(await states()).filter((state) => state === 'LOADED')).toHaveLength(3);
    h.peers.addLogistic('a', 2, 0.5);
    await h.serve('a', 2);
    expect(await ask('a')).toEqual(expect.closeTo(logistic(1, 2, 3, 0.5), 5));
    expect((await h.admin.listLoaded({})).loaded.filter((l) => l.model === 'a').map((l) => l.version)).toEqual([2]);
  });
});
