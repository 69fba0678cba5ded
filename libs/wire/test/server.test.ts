import { Client, credentials, Metadata as GrpcJsMetadata, status } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WireClient } from '../src/client.js';
import { hotUnary, RAW_BYTES, unary } from '../src/handler.js';
import type { ServiceTable } from '../src/handler.js';
import { Metadata as OurMetadata } from '../src/metadata.js';
import { GrpcError, Status } from '../src/status.js';
import { GrpcJsServer } from '../src/grpc-js-transport.js';
import { WireServer } from '../src/server.js';
import { eventually, repeatRequest, testService } from './services.js';
import type { Seen } from './services.js';

const same = (bytes: Buffer): Buffer => bytes;
const path = (name: string): string => `/test.Echo/${name}`;

/** The same calls by a grpc-js client, whatever transport carries the service. */
describe.each([
  ['wire', (seen: Seen) => new WireServer(testService(seen))],
  ['grpc-js', (seen: Seen) => new GrpcJsServer(testService(seen))],
] as const)('a grpc-js client and the service over %s', (transport, makeServer) => {
  const seen: Seen = { aborts: [], ticks: 0, batches: [] };
  const server = makeServer(seen);
  let client: Client;

  beforeAll(async () => {
    const { port } = await server.listen({ port: 0 });
    client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), { 'grpc.max_receive_message_length': -1 });
  });
  afterEach(() => {
    seen.aborts.length = seen.batches.length = seen.ticks = 0;
  });
  afterAll(async () => {
    client.close();
    await server.drain(1000);
  });

  function call(
    name: string,
    message: Buffer,
    options: { metadata?: GrpcJsMetadata; deadline?: number } = {},
  ): Promise<{ response: Buffer; initial: GrpcJsMetadata; trailing: GrpcJsMetadata }> {
    return new Promise((resolve, reject) => {
      let initial = new GrpcJsMetadata();
      let response: Buffer | undefined;
      const call = client.makeUnaryRequest(
        path(name),
        same,
        same,
        message,
        options.metadata ?? new GrpcJsMetadata(),
        { deadline: options.deadline ?? Date.now() + 10_000 },
        (error, value) => {
          if (error) reject(error);
          else response = value;
        },
      );
      call.on('metadata', (metadata) => (initial = metadata));
      call.on('status', (result) => result.code === status.OK && resolve({ response: response!, initial, trailing: result.metadata }));
    });
  }
  const failure = (call: Promise<unknown>): Promise<ServiceError> =>
    call.then(
      () => Promise.reject(new Error('the call succeeded')),
      (error: unknown) => error as ServiceError,
    );

  it.each(['Unary', 'Later', 'Hot'])('%s gives each of a hundred calls in flight its own answer', async (name) => {
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => call(name, Buffer.from(`message ${i}`))));
    expect(answers.map(({ response }) => response.toString())).toEqual(Array.from({ length: 100 }, (_, i) => `message ${i}`));
  });

  it('one turn of the loop is one batch of a hot handler, not one each call', async () => {
    await Promise.all(Array.from({ length: 100 }, () => call('Hot', Buffer.from('x'))));
    expect(seen.batches.reduce((sum, size) => sum + size, 0)).toBe(100);
    expect(seen.ticks).toBeLessThan(50);
  });

  it('a hot handler may answer long after its turn', async () => {
    expect((await call('Hot', Buffer.from('later'))).response.toString()).toBe('later');
  });

  it.each([0, 1, 5, 1000, 16_379, 16_380, 65_530, 1_000_000, 4_000_000])('a message of %i bytes comes back whole', async (size) => {
    const message = Buffer.alloc(size, 'abcdefghijk');
    for (const name of ['Unary', 'Hot', 'Later']) expect((await call(name, message)).response.equals(message)).toBe(true);
  });

  it('a message above the limit is refused, and the connection goes on', async () => {
    expect(await failure(call('Unary', Buffer.alloc(4_194_305)))).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    expect((await call('Unary', Buffer.from('next'))).response.toString()).toBe('next');
  });

  it('errors carry code, message and details', async () => {
    const error = await failure(call('Fail', Buffer.from('x')));
    expect(error).toMatchObject({ code: status.FAILED_PRECONDITION, details: 'not now: é, 100 %' });
    expect(error.metadata.get('grpc-status-details-bin')).toEqual([Buffer.from([8, 9, 18, 1, 120])]);
    expect(error.metadata.get('x-why')).toEqual(['because']);
    const hot = await failure(call('Hot', Buffer.from('fail')));
    expect(hot).toMatchObject({ code: status.NOT_FOUND, details: 'no such thing' });
    expect(hot.metadata.get('grpc-status-details-bin')).toEqual([Buffer.from([1, 2])]);
  });

  it('an unknown method is UNIMPLEMENTED', async () => {
    expect(await failure(call('Nothing', Buffer.from('x')))).toMatchObject({ code: status.UNIMPLEMENTED });
  });

  it('metadata goes both ways, text and bytes, single and repeated', async () => {
    const metadata = new GrpcJsMetadata();
    metadata.add('x-text', 'one');
    metadata.add('x-text', 'two');
    metadata.add('x-raw-bin', Buffer.from([0, 255, 128]));
    const { initial, trailing } = await call('Metadata', Buffer.from('x'), { metadata, deadline: Date.now() + 5000 });
    expect(initial.get('x-text').join(', ')).toBe('one, two');
    expect(initial.get('x-raw-bin')).toEqual([Buffer.from([0, 255, 128])]);
    expect(trailing.get('x-trailer')).toEqual(['end']);
    const left = Number(trailing.get('x-deadline')[0]);
    expect(left).toBeGreaterThan(4000);
    expect(left).toBeLessThanOrEqual(5001);
  });

  it('a deadline ends the call on both sides', async () => {
    expect(await failure(call('Hang', Buffer.from('x'), { deadline: Date.now() + 50 }))).toMatchObject({ code: status.DEADLINE_EXCEEDED });
    await eventually(() => expect(seen.aborts).toHaveLength(1));
  });

  it('cancelling a call aborts its handler', async () => {
    const call = client.makeUnaryRequest(path('Hang'), same, same, Buffer.from('x'), () => undefined);
    setTimeout(() => call.cancel(), 50);
    await eventually(() => expect(seen.aborts).toEqual(['The caller cancelled.']));
  });

  it('a server stream of 5,000 messages arrives in order, and one of 20 MB too', async () => {
    for (const [times, size] of [
      [5000, 4],
      [200, 100_000],
    ] as const) {
      const received: number[] = [];
      for await (const message of client.makeServerStreamRequest(path('Repeat'), same, same, repeatRequest(times, size))) {
        expect((message as Buffer).length).toBe(size);
        received.push((message as Buffer).readUInt32BE(0));
      }
      expect(received).toEqual(Array.from({ length: times }, (_, i) => i));
    }
  });

  it('a server stream that nobody reads waits for its reader, and ends when it is cancelled', async () => {
    const call = client.makeServerStreamRequest(path('Repeat'), same, same, repeatRequest(1_000_000, 10_000));
    call.on('error', () => undefined);
    call.once('data', () => call.pause());
    await new Promise((resolve) => setTimeout(resolve, 300));
    call.cancel();
    await eventually(() => expect(seen.aborts).toEqual(['repeat']));
  });

  it('a client stream is summed to its end', async () => {
    const sum = await new Promise<string>((resolve, reject) => {
      const call = client.makeClientStreamRequest(path('Sum'), same, same, (error, value) =>
        error ? reject(error) : resolve(String(value)),
      );
      for (let i = 0; i < 500; i++) call.write(Buffer.alloc(10_000));
      call.end();
    });
    expect(sum).toBe('5000000');
  });

  it('both directions of a bidirectional call run at their own pace', async () => {
    const call = client.makeBidiStreamRequest(path('Chat'), same, same);
    const received: string[] = [];
    for (const word of ['a', 'b', 'c']) {
      const answer = new Promise<Buffer>((resolve) => call.once('data', resolve));
      call.write(Buffer.from(word));
      received.push((await answer).toString());
    }
    expect(received).toEqual(['a', 'b', 'c']);
    const ended = new Promise<number>((resolve) => call.once('status', ({ code }) => resolve(code)));
    call.on('error', () => undefined);
    call.write(Buffer.from('stop'));
    expect(await ended).toBe(status.ABORTED);
  });

  it('compressed messages are understood', async () => {
    const gzipClient = new Client(client.getChannel().getTarget().replace(/^dns:/, ''), credentials.createInsecure(), {
      'grpc.default_compression_algorithm': 2,
    });
    for (const size of [3, 100, 1_000_000]) {
      const message = Buffer.alloc(size, 'ab');
      for (const name of ['Unary', 'Hot']) {
        const response = await new Promise<Buffer>((resolve, reject) =>
          gzipClient.makeUnaryRequest(path(name), same, same, message, (error, value) => (error ? reject(error) : resolve(value!))),
        );
        expect(response.equals(message)).toBe(true);
      }
    }
    const sum = await new Promise<string>((resolve, reject) => {
      const call = gzipClient.makeClientStreamRequest(path('Sum'), same, same, (error, value) =>
        error ? reject(error) : resolve(String(value)),
      );
      for (let i = 0; i < 50; i++) call.write(Buffer.alloc(i % 2 === 0 ? 3 : 10_000, 'x'));
      call.end();
    });
    expect(sum).toBe(String(25 * 10_003));
    gzipClient.close();
  });

  it('calls in flight finish during a drain, new ones are turned away, and the drain ends', async () => {
    const other = makeServer(seen);
    const { port } = await other.listen({ port: 0 });
    const leaving = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    const answer = new Promise<Buffer>((resolve, reject) =>
      leaving.makeUnaryRequest(path('Later'), same, same, Buffer.from('in flight'), (error, value) =>
        error ? reject(error) : resolve(value!),
      ),
    );
    await new Promise<void>((resolve, reject) => leaving.waitForReady(Date.now() + 2000, (error) => (error ? reject(error) : resolve())));
    await new Promise((resolve) => setTimeout(resolve, 2));
    const drained = other.drain(5000);
    expect((await answer).toString()).toBe('in flight');
    await drained;
    expect(
      await failure(
        new Promise((resolve, reject) =>
          leaving.makeUnaryRequest(path('Unary'), same, same, Buffer.from('x'), (error, value) => (error ? reject(error) : resolve(value))),
        ),
      ),
    ).toMatchObject({ code: status.UNAVAILABLE });
    leaving.close();
    expect(transport).toBeTruthy();
  });
});

describe('what only our server has', () => {
  it('authorizes a header block once, and again when permissions change', async () => {
    const seen: Seen = { aborts: [], ticks: 0, batches: [] };
    const asked: string[] = [];
    let allowed = true;
    const server = new WireServer(testService(seen), {
      authorize: (method, metadata) => {
        asked.push(`${method} ${metadata.text('authorization') ?? 'nobody'}`);
        return allowed && metadata.text('authorization') === 'Bearer key' ? undefined : new GrpcError(Status.UNAUTHENTICATED, 'no key');
      },
    });
    const { port } = await server.listen({ port: 0 });
    const withKey = new WireClient({ host: '127.0.0.1', port, metadata: OurMetadata.of([['authorization', 'Bearer key']]) });
    const without = new WireClient({ host: '127.0.0.1', port });
    const method = { path: path('Hot'), kind: 'unary', request: RAW_BYTES, response: RAW_BYTES } as const;
    for (let i = 0; i < 50; i++) await withKey.unary(method, Buffer.from('x'));
    // The first block fills the compression table, the second refers to it, and from then on the bytes are known.
    expect(asked).toEqual(Array(2).fill('/test.Echo/Hot Bearer key'));
    await expect(without.unary(method, Buffer.from('x'))).rejects.toMatchObject({ code: Status.UNAUTHENTICATED });
    allowed = false;
    server.reauthorize();
    await expect(withKey.unary(method, Buffer.from('x'))).rejects.toMatchObject({ code: Status.UNAUTHENTICATED });
    await Promise.all([withKey.close(), without.close()]);
    await server.drain(1000);
  });

  it('sends compressed answers to clients that accept them, when it is told to', async () => {
    const server = new WireServer(testService({ aborts: [], ticks: 0, batches: [] }), { compressAnswers: true });
    const { port } = await server.listen({ port: 0 });
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    const answer = await new Promise<Buffer>((resolve, reject) =>
      client.makeUnaryRequest(path('Later'), same, same, Buffer.alloc(300_000, 'ab'), (error, value) =>
        error ? reject(error) : resolve(value!),
      ),
    );
    expect(answer.equals(Buffer.alloc(300_000, 'ab'))).toBe(true);
    client.close();
    await server.drain(1000);
  });

  it('a handler that throws a defect fails its call only, and the defect is reported', async () => {
    const defects: unknown[] = [];
    const broken: ServiceTable = [
      unary({ path: '/x/Throw', kind: 'unary', request: RAW_BYTES, response: RAW_BYTES }, () => {
        throw new TypeError('a defect');
      }),
      hotUnary('/x/Hot', (replies) => ({
        onMessage: (_, __, ___, reply) => {
          replies.ok(reply, Buffer.from('answered'), 0, 8);
          throw new TypeError('behind the answer');
        },
        onTick: () => undefined,
      })),
    ];
    const server = new WireServer(broken, { onDefect: (error) => defects.push(error) });
    const { port } = await server.listen({ port: 0 });
    const client = new WireClient({ host: '127.0.0.1', port });
    const call = (name: string) =>
      client.unary({ path: `/x/${name}`, kind: 'unary', request: RAW_BYTES, response: RAW_BYTES }, Buffer.from('x'));
    await expect(call('Throw')).rejects.toMatchObject({ code: Status.INTERNAL });
    for (let i = 0; i < 3; i++) expect(Buffer.from(await call('Hot')).toString()).toBe('answered');
    expect(defects.map(String)).toEqual(['TypeError: a defect', ...Array(3).fill('TypeError: behind the answer')]);
    await client.close();
    await server.drain(1000);
  });
});
