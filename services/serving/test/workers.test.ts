import { ONNXRUNTIME_VERSION } from '@headrace/executor/onnx-runtime';
import { OnnxTensors } from '@headrace/executor/onnx-tensors';
import { DATATYPES, type Datatype, type Tensor } from '@headrace/executor/tensor';
import { openOnnxInWorker } from '@headrace/executor/worker-onnx';
import { GRPCInferenceServiceDefinition, ModelInferRequest } from '@headrace/contracts/inference/grpc_service';
import { Signature } from '@headrace/contracts/registry/v1/registry';
import { createClient, type Client } from '@headrace/platform/grpc/client';
import { eventually } from '@headrace/testkit/eventually';
import { echoModel, sumModel } from '@headrace/testkit/onnx-graph';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Harness } from './harness.js';
import { logistic } from './peers.js';

const ROW = [1, 2, 3] as const;

/** A model is slow when its trial said so; the processes are stopped and killed by signals, so that nothing here hangs on a clock. */
describe('a slow model beside a fast one', () => {
  let h: Harness;
  const shas = new Map<number, string>();
  let tensors: Client<typeof GRPCInferenceServiceDefinition>;
  beforeAll(async () => {
    h = await Harness.start();
    h.peers.addLogistic('fast', 1, 0.25);
    for (const version of [1, 2, 3]) shas.set(version, h.peers.addLogistic('slow', version, version));
    await mkdir(join(h.config.stateDir!, 'serving', 'artifacts'), { recursive: true });
    shas.set(9, h.peers.add({ model: 'slow-sums', version: 1, bytes: sumModel(), golden: {}, signature: Signature.fromPartial({}) }));
    for (const sha256 of shas.values())
      await writeFile(
        join(h.config.stateDir!, 'serving', 'artifacts', `${sha256}.proven-${ONNXRUNTIME_VERSION}`),
        JSON.stringify({ rowMs: 50, residentBytes: 1 }),
      );
    await h.serve('fast', 1);
    await h.serve('slow', 1);
    await h.serve('slow-sums', 1);
    tensors = createClient(GRPCInferenceServiceDefinition, h.service.grpcAddress);
  });
  afterAll(async () => {
    tensors?.close();
    await h.close();
  });

  const ofFeatures = async (model: string, client = tensors): Promise<[number, number]> => {
    const contents = { fp32Contents: [...ROW] };
    const answer = await client.modelInfer(
      ModelInferRequest.fromPartial({
        modelName: model,
        inputs: [{ name: 'features', datatype: 'FP32', shape: [1, 3], contents }],
        outputs: [{ name: 'probabilities' }],
      }),
    );
    return [Number(answer.modelVersion), answer.outputs[0]!.contents!.fp32Contents[1]!];
  };
  const sums = async (a: readonly number[]): Promise<unknown[]> => {
    const matrix = (name: string, intContents: readonly number[]) => ({
      name,
      datatype: 'INT32',
      shape: [1, 4],
      contents: { intContents: [...intContents] },
    });
    const answer = await tensors.modelInfer(
      ModelInferRequest.fromPartial({ modelName: 'slow-sums', inputs: [matrix('a', a), matrix('b', [1, 1, 1, 1])] }),
    );
    return answer.outputs.map((output) => output.contents!.intContents);
  };

  const ask = async (model: string): Promise<[number, number]> => {
    const { version, rows } = await h.client.predict({ model, dense: [[...ROW]] });
    return [version, rows[0]!.score];
  };
  const answerOf = (version: number): unknown => [version, expect.closeTo(logistic(...ROW, version), 5)];
  /** Processes that run the artefact of this version. */
  const workersOf = (version: number): number[] =>
    readdirSync('/proc')
      .map(Number)
      .filter((pid) => pid > 0 && commandOf(pid).includes('onnx-worker') && commandOf(pid).includes(shas.get(version)!));

  it('runs in a process of its own and answers as it would here; the fast one has none', async () => {
    expect(await ask('slow')).toEqual(answerOf(1));
    expect(workersOf(1)).toHaveLength(1);
    const large = await h.client.predict({ model: 'slow', dense: Array.from({ length: 1000 }, (_, i) => [i % 7, 1, 0]) });
    expect(large.rows.every((row, i) => Math.abs(row.score - logistic(i % 7, 1, 0, 1)) < 1e-5)).toBe(true);
  });

  it('answers tensors from there too, of features and of any graph', async () => {
    expect(await ofFeatures('slow')).toEqual(answerOf(1));
    expect(workersOf(9)).toHaveLength(1);
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => sums([i, 2, 3, 4])));
    answers.forEach((answer, i) => expect(answer).toEqual([[i + 1, 3, 4, 5], [i - 1, 1, 2, 3], [i + 9]]));
  });

  it('takes and gives tensors of every element type, with the same bits', async () => {
    const bytes = echoModel();
    const path = join(h.config.stateDir!, 'echo.onnx');
    await writeFile(path, bytes);
    const session = await openOnnxInWorker({ path, sha256: createHash('sha256').update(bytes).digest('hex') });
    try {
      const there = new OnnxTensors(session, 'echo/1');
      const inputs = there.inputs.map(({ name, datatype }) => tensorOf(name, datatype));
      const names = there.outputs.map((output) => output.name).reverse();
      const outputs = await there.run(inputs, names);
      expect(outputs.map(({ name }) => name)).toEqual(names);
      for (const { name, datatype, shape, bytes, texts } of outputs) {
        const sent = inputs.find((input) => input.name === name.replace('out', 'in'))!;
        expect({ name, datatype, shape, texts, bytes: [...bytes] }).toEqual({ ...sent, name, bytes: [...sent.bytes] });
      }
      expect(outputs).toHaveLength(Object.keys(DATATYPES).length);
    } finally {
      session.release();
    }
  });

  it('holds no other tensors up while it stands still, and answers its own when its process was killed', async () => {
    const [worker] = workersOf(9);
    process.kill(worker!, 'SIGSTOP');
    const waiting = Array.from({ length: 10 }, (_, i) => sums([i, 0, 0, 0]));
    for (let i = 0; i < 50; i++) expect((await ofFeatures('fast'))[0]).toBe(1);
    process.kill(worker!, 'SIGKILL');
    (await Promise.all(waiting)).forEach((answer, i) => expect(answer[2]).toEqual([i]));
  });

  it('holds nobody else up while it stands still; its own callers keep their deadline, and the rest is answered when it goes on', async () => {
    const [worker] = workersOf(1);
    process.kill(worker!, 'SIGSTOP');
    try {
      const waiting = Array.from({ length: 10 }, () => ask('slow'));
      const large = h.client.predict({ model: 'slow', dense: Array.from({ length: 1000 }, () => [...ROW]) });
      await expect(h.client.predict({ model: 'slow', dense: [[...ROW]] }, { timeoutMs: 200 })).rejects.toMatchObject({
        code: 'DEADLINE_EXCEEDED',
      });
      for (let i = 0; i < 200; i++) expect((await ask('fast'))[0]).toBe(1);
      const fastLarge = await h.client.predict({ model: 'fast', dense: Array.from({ length: 1000 }, () => [...ROW]) });
      expect(fastLarge.rows).toHaveLength(1000);
      process.kill(worker!, 'SIGCONT');
      for (const answer of waiting) expect(await answer).toEqual(answerOf(1));
      expect((await large).rows).toHaveLength(1000);
    } finally {
      process.kill(worker!, 'SIGCONT');
    }
  });

  it('is replaced under its callers: the old process answers what it has, and goes', async () => {
    const [worker] = workersOf(1);
    process.kill(worker!, 'SIGSTOP');
    const old = [ask('slow'), ask('slow'), ask('slow')];
    await eventually('they are inside', async () =>
      /headrace_serving_inside\{unit="requests",service="serving"\} 3/.test(await (await fetch(`${h.service.httpUrl}/metrics`)).text()),
    );
    await h.serve('slow', 2);
    expect(await ask('slow')).toEqual(answerOf(2));
    process.kill(worker!, 'SIGCONT');
    for (const answer of old) expect(await answer).toEqual(answerOf(1));
    await eventually('the old process has gone', () => workersOf(1).length === 0);
  });

  it('loses no request when its process is killed', async () => {
    const [worker] = workersOf(2);
    process.kill(worker!, 'SIGSTOP');
    const answers = Array.from({ length: 20 }, () => ask('slow'));
    process.kill(worker!, 'SIGKILL');
    for (const answer of answers) expect(await answer).toEqual(answerOf(2));
    expect(workersOf(2)).toHaveLength(1);
  });

  it.each(['predictions', 'tensors'])('moves to a process of its own while it serves, when its runs prove slow: %s', async (kind) => {
    const own = await Harness.start({ inlineRunMs: 0.001 });
    const client = createClient(GRPCInferenceServiceDefinition, own.service.grpcAddress);
    try {
      const sha256 = own.peers.addLogistic('m', 1, 1);
      await mkdir(join(own.config.stateDir!, 'serving', 'artifacts'), { recursive: true });
      await writeFile(
        join(own.config.stateDir!, 'serving', 'artifacts', `${sha256}.proven-${ONNXRUNTIME_VERSION}`),
        JSON.stringify({ rowMs: 0, residentBytes: 1 }),
      );
      await own.serve('m', 1);
      shas.set(4, sha256);
      expect(workersOf(4)).toEqual([]);
      const once = async (): Promise<number> =>
        kind === 'tensors'
          ? (await ofFeatures('m', client))[1]
          : (await own.client.predict({ model: 'm', dense: [[...ROW]] })).rows[0]!.score;
      await eventually('it has moved', async () => {
        expect(await once()).toBeCloseTo(logistic(...ROW, 1), 5);
        return workersOf(4).length === 1;
      });
      for (let i = 0; i < 20; i++) expect(await once()).toBeCloseTo(logistic(...ROW, 1), 5);
    } finally {
      client.close();
      await own.close();
    }
    await eventually('its process has gone with the service', () => workersOf(4).length === 0);
  });

  it('comes back to the event loop while it serves, when its runs prove quick there', async () => {
    const own = await Harness.start();
    try {
      const sha256 = own.peers.addLogistic('back', 1, 1.5);
      await mkdir(join(own.config.stateDir!, 'serving', 'artifacts'), { recursive: true });
      await writeFile(
        join(own.config.stateDir!, 'serving', 'artifacts', `${sha256}.proven-${ONNXRUNTIME_VERSION}`),
        JSON.stringify({ rowMs: 50, residentBytes: 1 }),
      );
      await own.serve('back', 1);
      shas.set(5, sha256);
      expect(workersOf(5)).toHaveLength(1);
      await eventually('it has come back', async () => {
        const answers = await Promise.all(Array.from({ length: 8 }, () => own.client.predict({ model: 'back', dense: [[...ROW]] })));
        for (const { rows } of answers) expect(rows[0]!.score).toBeCloseTo(logistic(...ROW, 1.5), 5);
        return workersOf(5).length === 0;
      });
      const metrics = await (await fetch(`${own.service.httpUrl}/metrics`)).text();
      expect(metrics).toMatch(/headrace_serving_moves_total\{model="back",to="here",outcome="ok",service="serving"\} 1/);
    } finally {
      await own.close();
    }
  });
});

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

/** Two rows of three. */
function tensorOf(name: string, datatype: Datatype): Tensor {
  if (datatype === 'BYTES') return { name, datatype, shape: [2, 3], bytes: new Uint8Array(0), texts: ['', 'Zürich', 'a', 'b', '😀', ' '] };
  const bytes = Uint8Array.from({ length: 6 * DATATYPES[datatype].bytes }, (_, i) => (datatype === 'BOOL' ? i % 2 : 1 + ((i * 37) % 60)));
  return { name, datatype, shape: [2, 3], bytes, texts: [] };
}
