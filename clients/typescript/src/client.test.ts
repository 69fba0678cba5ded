import { Metadata, Server, ServerCredentials, status as Status, type sendUnaryData, type ServerUnaryCall } from '@grpc/grpc-js';
import { AppError } from '@headrace/base/errors';
import { ProtoWriter } from '@headrace/codec/writer';
import { PredictRequest, PredictResponse } from '@headrace/contracts/serving/v1/serving';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HeadraceClient } from './client.js';

type Call = ServerUnaryCall<PredictRequest, PredictResponse>;

/** A server with the generated messages; what it answers depends on the model that is asked for. */
const server = new Server();
let address = '';
let seen: { request: PredictRequest; metadata: Record<string, unknown>; deadline: Date } | undefined;
let triesOfFlaky = 0;

const answers: Record<string, (call: Call, done: sendUnaryData<PredictResponse>) => void> = {
  fine: ({ request }, done) =>
    done(
      null,
      PredictResponse.fromPartial({
        model: 'fine',
        version: 3,
        arm: 'champion',
        predictionId: request.predictionId || 'made',
        labels: [1, 0],
        scores: [0.75, 0.25],
        featureTimes: [1_000, 0],
        stale: [false, true],
        outputs: request.outputs.map((name) => ({ name, shape: [2], floats: [1, 2, 3, 4] })),
      }),
    ),
  bad: (_call, done) =>
    done({ code: Status.INVALID_ARGUMENT, details: 'column x is unknown', metadata: detailsOf('INPUT_INVALID', { column: 'x' }) }),
  plain: (_call, done) => done({ code: Status.RESOURCE_EXHAUSTED, details: 'full' }),
  garbled: (_call, done) => {
    const metadata = new Metadata();
    metadata.set('grpc-status-details-bin', Buffer.from([0x1a, 0x7f, 1]));
    done({ code: Status.NOT_FOUND, details: 'gone', metadata });
  },
  flaky: (_call, done) =>
    ++triesOfFlaky < 3
      ? done({ code: Status.UNAVAILABLE, details: 'starting' })
      : done(null, PredictResponse.fromPartial({ labels: [1], scores: [1], predictionId: 'p' })),
  silent: () => undefined,
};

beforeAll(async () => {
  const predict = (call: Call, done: sendUnaryData<PredictResponse>): void => {
    const deadline = call.getDeadline();
    seen = { request: call.request, metadata: call.metadata.getMap(), deadline: deadline instanceof Date ? deadline : new Date(deadline) };
    answers[call.request.model]!(call, done);
  };
  server.addService(
    {
      predict: {
        path: '/headrace.serving.v1.Prediction/Predict',
        requestStream: false,
        responseStream: false,
        requestSerialize: (message: PredictRequest) => Buffer.from(PredictRequest.encode(message).finish()),
        requestDeserialize: (bytes: Buffer) => PredictRequest.decode(bytes),
        responseSerialize: (message: PredictResponse) => Buffer.from(PredictResponse.encode(message).finish()),
        responseDeserialize: (bytes: Buffer) => PredictResponse.decode(bytes),
      },
    },
    { predict },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))),
  );
  address = `127.0.0.1:${port}`;
});
afterAll(() => server.forceShutdown());

async function withClient<T>(work: (client: HeadraceClient) => Promise<T>, more: object = {}): Promise<T> {
  const client = new HeadraceClient({ address, ...more });
  try {
    return await work(client);
  } finally {
    client.close();
  }
}

describe('client', () => {
  it('sends entities, columns and dense rows as the contract says, with key, trace and deadline', async () => {
    await withClient(
      (client) =>
        client.predict(
          {
            model: 'fine',
            version: 3,
            entities: ['1', '2'],
            columns: { a: [1.5, Number.NaN], t: ['x', ''], f: Float32Array.of(1, 2) },
            dense: [
              [1, 2],
              [3, 4],
            ],
            predictionId: 'mine',
            priority: 'low',
            outputs: ['pair'],
          },
          { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', routingKey: 'k' },
        ),
      { apiKey: 'secret-key', project: 'shop', timeoutMs: 500 },
    );
    expect(seen!.request).toEqual({
      project: 'shop',
      model: 'fine',
      version: 3,
      entities: ['1', '2'],
      dense: [1, 2, 3, 4],
      predictionId: 'mine',
      priority: 'PRIORITY_LOW',
      outputs: ['pair'],
      columns: [
        { name: 'a', floats: [1.5, Number.NaN], ints: [], strings: [] },
        { name: 't', floats: [], ints: [], strings: ['x', ''] },
        { name: 'f', floats: [1, 2], ints: [], strings: [] },
      ],
    });
    expect(seen!.metadata).toMatchObject({
      authorization: 'Bearer secret-key',
      traceparent: expect.stringContaining('0af7651916cd'),
      'headrace-routing-key': 'k',
    });
    expect(seen!.deadline.getTime() - Date.now()).toBeLessThanOrEqual(500);
  });

  it('gives further outputs of the graph by their names', async () => {
    const answer = await withClient((client) => client.predict({ model: 'fine', entities: ['1', '2'], outputs: ['pair', 'other'] }));
    expect(answer.outputs).toEqual({ pair: { shape: [2], values: [1, 2, 3, 4] }, other: { shape: [2], values: [1, 2, 3, 4] } });
  });

  it('gives rows with the ids that outcomes refer to', async () => {
    const answer = await withClient((client) => client.predict({ model: 'fine', entities: ['1', '2'] }));
    expect(answer).toEqual({
      model: 'fine',
      version: 3,
      arm: 'champion',
      predictionId: 'made',
      rows: [
        { id: 'made/0', label: 1, score: 0.75, featureTime: new Date(1_000), stale: false },
        { id: 'made/1', label: 0, score: 0.25, featureTime: undefined, stale: true },
      ],
      outputs: {},
    });
  });

  it.each<[string, string, object]>([
    ['the code and details of the server', 'bad', { code: 'INPUT_INVALID', message: 'column x is unknown', details: { column: 'x' } }],
    ['the nearest code of a server without details', 'plain', { code: 'OVERLOADED', message: 'full', details: {} }],
    ['the status in spite of broken details', 'garbled', { code: 'NOT_FOUND', message: 'gone' }],
  ])('throws an AppError with %s', async (_name, model, expected) => {
    const error: unknown = await withClient((client) => client.predict({ model }).catch((thrown: unknown) => thrown));
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject(expected);
  });

  it('tries again by itself only while the server is unavailable', async () => {
    expect((await withClient((client) => client.predict({ model: 'flaky' }))).rows[0]!.id).toBe('p');
    expect(triesOfFlaky).toBe(3);
  });

  it('ends at its deadline, on cancellation, and on ragged rows before anything is sent', async () => {
    await withClient(async (client) => {
      await expect(client.predict({ model: 'silent' }, { timeoutMs: 50 })).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
      const abort = new AbortController();
      const cancelled = expect(client.predict({ model: 'silent' }, { signal: abort.signal })).rejects.toMatchObject({ code: 'CANCELLED' });
      abort.abort();
      await cancelled;
      await expect(client.predict({ model: 'silent' }, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'CANCELLED' });
      await expect(client.predict({ model: 'fine', dense: [[1, 2], [3]] })).rejects.toThrow(/row 1 has 1 values, row 0 has 2/);
    });
  });
});

function detailsOf(reason: string, entries: Record<string, string>): Metadata {
  const writer = new ProtoWriter();
  writer.tag(1, 0);
  writer.uint32(3);
  writer.tag(3, 2);
  const any = writer.begin();
  writer.tag(1, 2);
  writer.string('type.googleapis.com/google.rpc.ErrorInfo');
  writer.tag(2, 2);
  const info = writer.begin();
  writer.tag(1, 2);
  writer.string(reason);
  for (const [name, value] of Object.entries(entries)) {
    writer.tag(3, 2);
    const entry = writer.begin();
    writer.tag(1, 2);
    writer.string(name);
    writer.tag(2, 2);
    writer.string(value);
    writer.end(entry);
  }
  writer.end(info);
  writer.end(any);
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', Buffer.from(writer.finish()));
  return metadata;
}
