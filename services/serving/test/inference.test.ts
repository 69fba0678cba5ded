import { ERROR_CODES, type AppError } from '@headrace/base/errors';
import {
  GRPCInferenceServiceDefinition,
  ModelInferRequest,
  type InferTensorContents,
  type ModelInferResponse,
} from '@headrace/contracts/inference/grpc_service';
import { Signature } from '@headrace/contracts/registry/v1/registry';
import { createClient, type Client } from '@headrace/platform/grpc/client';
import { eventually } from '@headrace/testkit/eventually';
import { echoModel, sumModel } from '@headrace/testkit/onnx-graph';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Harness, TRANSPORTS } from './harness.js';
import { logistic } from './peers.js';

/** A version without features: tensors are all that it takes. */
const TENSORS_ONLY = { golden: {}, signature: Signature.fromPartial({}) };

describe.each(TRANSPORTS)('Open Inference Protocol over %s', (grpcTransport) => {
  let h: Harness;
  let client: Client<typeof GRPCInferenceServiceDefinition>;

  beforeAll(async () => {
    h = await Harness.start({ grpcTransport, apiKey: '' });
    h.peers.addLogistic('income', 1, 0.5);
    h.peers.addLogistic('income', 2, -0.5);
    h.peers.add({ model: 'echo', version: 1, bytes: echoModel(), ...TENSORS_ONLY });
    h.peers.add({ model: 'sums', version: 3, bytes: sumModel(), ...TENSORS_ONLY });
    for (const [model, version] of [
      ['income', 1],
      ['echo', 1],
      ['sums', 3],
    ] as const)
      await h.serve(model, version);
    client = createClient(GRPCInferenceServiceDefinition, h.service.grpcAddress);
  });

  afterAll(async () => {
    client?.close();
    await h.close();
  });

  it('answers a model of features in the same numbers as its formula, and logs each row once under the id that it gives', async () => {
    const rows = [
      [1, 2, 3],
      [Number.NaN, 0, -1],
    ];
    const answer = await client.modelInfer(features('income', rows));
    expect(answer).toMatchObject({ modelName: 'income', modelVersion: '1', id: 'r-1' });
    expect(answer.outputs.map(({ name, datatype, shape }) => [name, datatype, ...shape])).toEqual([
      ['label', 'INT64', 2],
      ['probabilities', 'FP32', 2, 2],
    ]);
    const scores = answer.outputs[1]!.contents!.fp32Contents.filter((_, i) => i % 2 === 1);
    rows.forEach(([a, b, c], i) => expect(scores[i]).toBeCloseTo(logistic(a!, b!, c!, 0.5), 5));
    expect(answer.outputs[0]!.contents!.int64Contents).toEqual(scores.map((score) => (score >= 0.5 ? 1 : 0)));
    const id = answer.parameters['prediction_id']!.parameterChoice!.value as string;
    const logged = await eventually('both rows are logged', () => {
      const ids = h.logged.flatMap((batch) => batch.predictionIds).filter((one) => one.startsWith(id));
      return Promise.resolve(ids.length >= 2 && ids);
    });
    expect(logged).toEqual([`${id}/0`, `${id}/1`]);
  });

  it('lets Predict and tensors account for every row once, and tensors of models without features for none', async () => {
    const before = await account(h);
    await h.client.predict({ model: 'income', dense: Float32Array.of(1, 2, 3) });
    await client.modelInfer(
      features(
        'income',
        [
          [1, 2, 3],
          [0, 0, 0],
          [1, 1, 1],
        ],
        ['label'],
      ),
    );
    await client.modelInfer(sums([1, 2, 3, 4], [1, 1, 1, 1]));
    await eventually('nothing waits for the log', async () => (await account(h)).pending === 0);
    const after = await account(h);
    expect(after.answered! - before.answered!).toBe(4);
    expect(after.answered).toBe(after.logged! + after.sampled_out! + after.dropped!);
  });

  it('shares runs between requests of one moment, and gives each its own rows', async () => {
    const requests = Array.from({ length: 40 }, (_, i) =>
      features(
        'income',
        [
          [i, 0, 0],
          [0, i, 0],
        ].slice(0, 1 + (i % 2)),
      ),
    );
    const [before] = (await client.modelStatistics({ name: 'income', version: '1' })).modelStats;
    const answers = await Promise.all(requests.map((request) => client.modelInfer(request)));
    answers.forEach((answer, i) => {
      const { fp32Contents } = answer.outputs[1]!.contents!;
      expect(fp32Contents[1]).toBeCloseTo(logistic(i, 0, 0, 0.5), 5);
      if (i % 2 === 1) expect(fp32Contents[3]).toBeCloseTo(logistic(0, i, 0, 0.5), 5);
    });
    const [after] = (await client.modelStatistics({ name: 'income', version: '1' })).modelStats;
    expect(after!.inferenceCount - before!.inferenceCount).toBe(60);
    expect(after!.executionCount - before!.executionCount).toBeLessThan(40);
  });

  it('answers a request of thousands of rows in slices, and refuses one of more than it takes', async () => {
    const many = Array.from({ length: 3000 }, (_, i) => [i / 1000, 0, 0]);
    const { outputs } = await client.modelInfer(features('income', many));
    expect(outputs[1]!.shape).toEqual([3000, 2]);
    many.forEach(([a], i) => expect(outputs[1]!.contents!.fp32Contents[2 * i + 1]).toBeCloseTo(logistic(a!, 0, 0, 0.5), 5));
    expect(
      await refusal(
        client.modelInfer(
          features(
            'income',
            Array.from({ length: 10_001 }, () => [0, 0, 0]),
          ),
        ),
      ),
    ).toMatch(/10001 rows/);
  });

  it('runs a graph that mixes its rows for each request alone', async () => {
    const answers = await Promise.all([1, 2, 3].map((i) => client.modelInfer(sums([i, i, i, i], [1, 1, 1, 1]))));
    expect(answers.map((answer) => answer.outputs[2]!.contents!.intContents)).toEqual([[4], [8], [12]]);
    expect(answers[0]!.outputs[2]!.shape).toEqual([]);
    expect(answers[2]!.outputs[0]!.contents!.intContents).toEqual([4, 4, 4, 4]);
  });

  it.each([
    ['an unknown model', { modelName: 'nobody' }, 'MODEL_NOT_LOADED', /nobody/],
    ['an unknown version', { modelVersion: '9' }, 'VERSION_UNKNOWN', /version 9/],
    ['a version that is no number', { modelVersion: 'latest' }, 'REQUEST_INVALID', /"latest"/],
    ['a foreign input', { inputs: [tensor('x', [1, 4], [1, 2, 3, 4])] }, 'INPUT_INVALID', /no input "x"; it takes a INT32\[-1,4\], b/],
    ['a missing input', { inputs: [tensor('a', [1, 4], [1, 2, 3, 4])] }, 'INPUT_INVALID', /needs the input "b"/],
    ['an input twice', { inputs: [1, 2].map(() => tensor('a', [1, 4], [1, 2, 3, 4])) }, 'INPUT_INVALID', /"a" twice/],
    ['another datatype', { inputs: pair({ datatype: 'INT64' }) }, 'INPUT_INVALID', /is INT64|is INT32; it was sent as "INT64"/],
    ['another shape', { inputs: pair({ shape: [2, 2] }) }, 'INPUT_INVALID', /shape sent is \[2,2\]/],
    ['a negative size', { inputs: pair({ shape: [-1, 4] }) }, 'INPUT_INVALID', /shape sent is \[-1,4\]/],
    ['too few elements', { inputs: pair({ shape: [2, 4] }) }, 'INPUT_INVALID', /8 element\(s\) of INT32/],
    ['a foreign output', { outputs: [{ name: 'y', parameters: {} }] }, 'INPUT_INVALID', /no output "y"; it gives sum/],
    ['raw contents for some inputs', { rawInputContents: [Buffer.alloc(16)] }, 'INPUT_INVALID', /2 input\(s\) and 1 raw/],
    ['rows that differ', { inputs: [tensor('a', [1, 4], [1, 2, 3, 4]), tensor('b', [3, 4], new Array(12).fill(1))] }, undefined, /./],
  ] as const)('refuses %s, and says so', async (_name, change, code, message) => {
    const request = ModelInferRequest.fromPartial({ ...sums([1, 2, 3, 4], [1, 1, 1, 1]), ...(change as object) });
    // A graph may stretch one row over three: that is its own affair.
    if (code === undefined) return expect((await client.modelInfer(request)).outputs[0]!.shape).toEqual([3, 4]);
    const error = await client.modelInfer(request).catch((thrown: unknown) => thrown as AppError);
    expect(error).toMatchObject({ code });
    expect((error as AppError).message).toMatch(message);
    expect(ERROR_CODES[code]).toBeDefined();
  });

  it('does not let a request that the graph cannot run fail its neighbours', async () => {
    const good = client.modelInfer(sums([1, 2, 3, 4], [1, 1, 1, 1]));
    const bad = client.modelInfer({
      ...sums([], []),
      inputs: [tensor('a', [2, 4], new Array(8).fill(1)), tensor('b', [3, 4], new Array(12).fill(1))],
    });
    expect(await refusal(bad)).toMatch(/sums\/3 cannot run on these tensors/);
    expect((await good).outputs[0]!.contents!.intContents).toEqual([2, 3, 4, 5]);
  });

  it('sends Predict away from a version without features', async () => {
    await expect(h.client.predict({ model: 'sums', dense: Float32Array.of(1) })).rejects.toMatchObject({ code: 'INPUT_INVALID' });
  });

  it('answers the version that a request was routed to while another takes over, and never both', async () => {
    let isDone = false;
    const seen = new Set<string>();
    const load = Array.from({ length: 4 }, async () => {
      while (!isDone) {
        const answer = await client.modelInfer(features('income', [[1, 1, 1]]));
        const expected = logistic(1, 1, 1, answer.modelVersion === '1' ? 0.5 : -0.5);
        expect(answer.outputs[1]!.contents!.fp32Contents[1]).toBeCloseTo(expected, 5);
        seen.add(answer.modelVersion);
      }
    });
    await h.serve('income', 2);
    await h.serve('income', 1);
    isDone = true;
    await Promise.all(load);
    expect(seen.size).toBe(2);
  });

  it('unloads a model until it is loaded again, over a restart and whatever the registry says', async () => {
    await client.repositoryModelUnload({ modelName: 'echo' });
    expect(await refusal(client.modelMetadata({ name: 'echo' }))).toMatch(/no version of model echo/);
    await h.sayAliasSet('echo', 1);
    client.close();
    await h.stopService();
    await h.startService();
    client = createClient(GRPCInferenceServiceDefinition, h.service.grpcAddress);
    await eventually('the other models are back', async () => (await client.modelReady({ name: 'sums', version: '3' })).ready);
    expect((await client.repositoryIndex({})).models).toContainEqual({
      name: 'echo',
      version: '',
      state: 'UNAVAILABLE',
      reason: 'unloaded',
    });
    await client.repositoryModelLoad({ modelName: 'echo' });
    expect(await client.modelReady({ name: 'echo' })).toEqual({ ready: true });
    expect((await client.repositoryIndex({ ready: true })).models).toContainEqual({
      name: 'echo',
      version: '1',
      state: 'READY',
      reason: '',
    });
  });

  it('loads a version beside the champion, and refuses to let a caller change a model', async () => {
    const version = { parameterChoice: { $case: 'stringParam' as const, value: '2' } };
    await client.repositoryModelLoad({ modelName: 'income', parameters: { version } });
    expect((await client.modelMetadata({ name: 'income', version: '2' })).versions).toEqual(['1', '2']);
    expect(await refusal(client.repositoryModelLoad({ modelName: 'income', parameters: { config: version } }))).toMatch(/not config/);
  });

  it('follows the route that is set, by routing key or id, and a version or arm that a header names', async () => {
    const route = { project: '', model: 'income', champion: 0, loaded: [] };
    const canary = { $case: 'canary' as const, value: { version: 2, percent: 50, salt: '' } };
    const versions = async (ids: string[]): Promise<string[]> =>
      Promise.all(ids.map(async (id) => (await client.modelInfer({ ...features('income', [[1, 1, 1]]), id })).modelVersion));
    await h.admin.setRoute({ route: { ...route, traffic: canary, shadow: undefined }, reason: 'test' });
    const ids = Array.from({ length: 60 }, (_, i) => `request-${i}`);
    const first = await versions(ids);
    expect(new Set(first)).toEqual(new Set(['1', '2']));
    expect(await versions(ids)).toEqual(first);
    const inputs = [{ name: 'features', datatype: 'FP32', shape: [1, 3], data: [1, 1, 1] }];
    const named = async (headers: Record<string, string>): Promise<unknown> => {
      const url = `${h.service.httpUrl}/v2/models/income/infer`;
      const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ inputs }) });
      return ((await response.json()) as { model_version: unknown }).model_version;
    };
    expect([await named({ 'headrace-version': '1' }), await named({ 'headrace-arm': 'canary' })]).toEqual(['1', '2']);
    await h.admin.setRoute({ route: { ...route, traffic: undefined, shadow: undefined }, reason: 'test' });
    expect(new Set(await versions(ids))).toEqual(new Set(['1']));
  });

  it('speaks the same over HTTP, errors in the form of the protocol', async () => {
    const url = `${h.service.httpUrl}/v2`;
    const ask = async (path: string, body?: unknown): Promise<[number, unknown]> => {
      const response = await fetch(`${url}${path}`, body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) });
      return [response.status, await response.json()];
    };
    const inputs = ['a', 'b'].map((name) => ({ name, datatype: 'INT32', shape: [1, 4], data: [[1, 2, 3, 4]] }));
    expect(await ask('/models/sums/infer', { id: 'x', inputs, outputs: [{ name: 'sum' }] })).toEqual([
      200,
      { model_name: 'sums', model_version: '3', id: 'x', outputs: [{ name: 'sum', datatype: 'INT32', shape: [1, 4], data: [2, 4, 6, 8] }] },
    ]);
    expect(await ask('/models/sums/versions/3/ready')).toEqual([200, { name: 'sums', ready: true }]);
    expect(await ask('/models/nobody')).toEqual([404, { error: expect.stringContaining('nobody') as string }]);
    expect(await ask('/models/nobody/ready')).toEqual([400, { name: 'nobody', ready: false }]);
    expect(await ask('/nowhere')).toEqual([404, { error: 'there is no GET /v2/nowhere' }]);
    expect(await ask('/models/sums/infer', { inputs: [] })).toEqual([400, { error: expect.stringContaining('needs the input') as string }]);
    expect(await ask('/models/sums/config')).toMatchObject([
      200,
      { max_batch_size: 0, input: [{ name: 'a', data_type: 'TYPE_INT32', dims: [-1, 4] }, {}] },
    ]);
    expect(await ask('/models/income/config')).toMatchObject([200, { max_batch_size: 128, input: [{ dims: [3] }] }]);
  });
});

describe('Open Inference Protocol with an API key', () => {
  it('asks for the key at every door but health, and says so in the form of the protocol', async () => {
    const h = await Harness.start({ apiKey: 'secret' });
    try {
      const at = (path: string, headers = {}): Promise<Response> => fetch(`${h.service.httpUrl}/v2${path}`, { headers });
      expect((await at('/health/live')).status).toBe(200);
      const refused = await at('/models/x');
      expect([refused.status, await refused.json()]).toEqual([401, { error: expect.stringContaining('needs an API key') as string }]);
      expect((await at('/models/x', { authorization: 'Bearer secret' })).status).toBe(404);
      const client = createClient(GRPCInferenceServiceDefinition, h.service.grpcAddress);
      await expect(client.modelInfer({ modelName: 'x' })).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
      expect(await client.serverLive({})).toEqual({ live: true });
      client.close();
    } finally {
      await h.close();
    }
  });
});

function tensor(name: string, shape: number[], ints: number[], datatype = 'INT32'): ModelInferRequest['inputs'][number] {
  return { name, datatype, shape, parameters: {}, contents: contents({ intContents: ints }) };
}

function pair(change: object): ModelInferRequest['inputs'] {
  return ['a', 'b'].map((name) => ({ ...tensor(name, [1, 4], [1, 2, 3, 4]), ...change }));
}

function sums(a: number[], b: number[]): ModelInferRequest {
  return ModelInferRequest.fromPartial({
    modelName: 'sums',
    inputs: [tensor('a', [a.length / 4, 4], a), tensor('b', [b.length / 4, 4], b)],
  });
}

function features(modelName: string, rows: number[][], outputs: string[] = []): ModelInferRequest {
  return ModelInferRequest.fromPartial({
    modelName,
    id: 'r-1',
    inputs: [{ name: 'features', datatype: 'FP32', shape: [rows.length, 3], contents: contents({ fp32Contents: rows.flat() }) }],
    outputs: outputs.map((name) => ({ name })),
  });
}

function contents(some: Partial<InferTensorContents>): InferTensorContents {
  return {
    boolContents: [],
    intContents: [],
    int64Contents: [],
    uintContents: [],
    uint64Contents: [],
    fp32Contents: [],
    fp64Contents: [],
    bytesContents: [],
    ...some,
  };
}

async function refusal(call: Promise<ModelInferResponse | object>): Promise<string> {
  return call.then(
    () => 'not refused',
    (error: AppError) => error.message,
  );
}

async function account(h: Harness): Promise<Record<string, number>> {
  const text = await (await fetch(`${h.service.httpUrl}/metrics`)).text();
  return Object.fromEntries(
    [...text.matchAll(/^headrace_serving_prediction_log_rows\{fate="(\w+)"[^}]*\} (\d+)/gm)].map(([, fate, rows]) => [fate!, Number(rows)]),
  );
}
