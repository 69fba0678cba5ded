import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WireClient } from '../src/client.js';
import type { ClientMethod } from '../src/client-types.js';
import { GrpcJsServer } from '../src/grpc-js-transport.js';
import { RAW_BYTES } from '../src/handler.js';
import type { MethodKind } from '../src/handler.js';
import { Metadata } from '../src/metadata.js';
import { WireServer } from '../src/server.js';
import { type GrpcError, Status } from '../src/status.js';
import { eventually, repeatRequest, testService } from './services.js';
import type { Seen } from './services.js';

const method = (name: string, kind: MethodKind = 'unary'): ClientMethod<Uint8Array, Uint8Array> => ({
  path: `/test.Echo/${name}`,
  kind,
  request: RAW_BYTES,
  response: RAW_BYTES,
});
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const failure = (call: Promise<unknown>): Promise<GrpcError> =>
  call.then(
    () => Promise.reject(new Error('the call succeeded')),
    (error: unknown) => error as GrpcError,
  );
const SEEN = (): Seen => ({ aborts: [], ticks: 0, batches: [] });

describe.each([
  ['wire', (seen: Seen) => new WireServer(testService(seen))],
  ['grpc-js', (seen: Seen) => new GrpcJsServer(testService(seen))],
] as const)('our client and the service over %s', (_, makeServer) => {
  const seen = SEEN();
  const server = makeServer(seen);
  let client: WireClient;

  beforeAll(async () => {
    const { port } = await server.listen({ port: 0 });
    client = new WireClient({ host: '127.0.0.1', port });
  });
  afterEach(() => {
    seen.aborts.length = seen.batches.length = seen.ticks = 0;
  });
  afterAll(async () => {
    await client.close();
    await server.drain(1000);
  });

  it.each(['Unary', 'Later', 'Hot'])('%s gives each of 5,000 calls at once its own answer, beyond the stream limit too', async (name) => {
    const answers = await Promise.all(
      Array.from({ length: 5000 }, (__, i) => client.unary(method(name), Buffer.from(`message ${i}`), { timeoutMs: 15_000 })),
    );
    expect(answers.map(text)).toEqual(Array.from({ length: 5000 }, (__, i) => `message ${i}`));
  });

  it.each([0, 1, 16_379, 16_380, 300_000, 4_000_000])('a message of %i bytes comes back whole, as it is and as gzip', async (size) => {
    const message = Buffer.alloc(size, 'abcdefghijk');
    for (const gzip of [false, true]) expect(Buffer.compare(await client.unary(method('Unary'), message, { gzip }), message)).toBe(0);
  });

  it('errors carry code, message, details and trailers', async () => {
    const error = await failure(client.unary(method('Fail'), Buffer.from('x')));
    expect(error).toMatchObject({ name: 'GrpcError', code: Status.FAILED_PRECONDITION, message: 'not now: é, 100 %' });
    expect([...error.details!]).toEqual([8, 9, 18, 1, 120]);
    expect(error.metadata!.text('x-why')).toBe('because');
    expect(await failure(client.unary(method('Nothing'), Buffer.from('x')))).toMatchObject({ code: Status.UNIMPLEMENTED });
    expect(await failure(client.unary(method('Unary'), Buffer.alloc(4_194_305)))).toMatchObject({ code: Status.RESOURCE_EXHAUSTED });
  });

  it('metadata goes both ways, text and bytes', async () => {
    let headers = new Metadata();
    let trailers = new Metadata();
    const metadata = Metadata.of([
      ['x-text', 'one'],
      ['x-raw-bin', Uint8Array.from([0, 255, 128])],
    ]);
    await client.unary(method('Metadata'), Buffer.from('x'), {
      metadata,
      timeoutMs: 5000,
      onHeaders: (m) => (headers = m),
      onTrailers: (m) => (trailers = m),
    });
    expect(headers.text('x-text')).toBe('one');
    expect(headers.get('x-raw-bin')).toEqual(Buffer.from([0, 255, 128]));
    expect(trailers.text('x-trailer')).toBe('end');
    expect(Number(trailers.text('x-deadline'))).toBeGreaterThan(4000);
  });

  it('a hot handler can ask for the headers of a call', async () => {
    expect(text(await client.unary(method('Hot'), Buffer.from('headers'), { metadata: Metadata.of([['x-one', 'first']]) }))).toBe(
      'first none false',
    );
    expect(text(await client.unary(method('Hot'), Buffer.from('headers'), { metadata: Metadata.of([['x-two', 'second']]) }))).toBe(
      'none second false',
    );
  });

  it('deadline and abort signal end the call on both sides', async () => {
    expect(await failure(client.unary(method('Hang'), Buffer.from('x'), { timeoutMs: 50 }))).toMatchObject({
      code: Status.DEADLINE_EXCEEDED,
    });
    await eventually(() => expect(seen.aborts).toHaveLength(1));
    const controller = new AbortController();
    const call = failure(client.unary(method('Hang'), Buffer.from('x'), { signal: controller.signal }));
    setTimeout(() => controller.abort(), 30);
    expect(await call).toMatchObject({ code: Status.CANCELLED });
    await eventually(() => expect(seen.aborts).toHaveLength(2));
  });

  it('a server stream arrives whole and in order, many small messages and few large ones', async () => {
    for (const [times, size] of [
      [5000, 4],
      [200, 100_000],
    ] as const) {
      const received: number[] = [];
      for await (const message of client.serverStream(method('Repeat', 'server-stream'), repeatRequest(times, size)))
        received.push(Buffer.from(message).readUInt32BE(0));
      expect(received).toEqual(Array.from({ length: times }, (__, i) => i));
    }
  });

  it('leaving the loop over a server stream cancels it, and a reader that pauses stops the server', async () => {
    for await (const message of client.serverStream(method('Repeat', 'server-stream'), repeatRequest(1_000_000, 10_000))) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      if (Buffer.from(message).readUInt32BE(0) === 3) break;
    }
    await eventually(() => expect(seen.aborts).toEqual(['repeat']));
  });

  it('a client stream is summed to its end, with large messages and compressed ones', async () => {
    for (const gzip of [false, true]) {
      const sum = await client.clientStream(
        method('Sum', 'client-stream'),
        (async function* () {
          for (let i = 0; i < 300; i++) yield Buffer.alloc(i % 3 === 0 ? 100_000 : 10);
        })(),
        { gzip },
      );
      expect(text(sum)).toBe(String(100 * 100_000 + 200 * 10));
    }
  });

  it('both directions of a bidirectional call run at their own pace, and a failure of the requests cancels it', async () => {
    const received: string[] = [];
    let next: (word: string | null) => void = () => undefined;
    const words = (async function* () {
      for (;;) {
        const word = await new Promise<string | null>((resolve) => (next = resolve));
        if (word === null) return;
        yield Buffer.from(word);
      }
    })();
    const responses = client.bidi(method('Chat', 'bidi'), words);
    for (const word of ['a', 'b', 'c']) {
      const answer = responses.next();
      await new Promise((resolve) => setTimeout(resolve, 10));
      next(word);
      received.push(text((await answer).value!));
    }
    next(null);
    expect((await responses.next()).done).toBe(true);
    expect(received).toEqual(['a', 'b', 'c']);
    const broken = client.bidi(
      method('Chat', 'bidi'),
      (async function* () {
        yield Buffer.from('x');
        throw new Error('the source failed');
      })(),
    );
    await expect(
      (async () => {
        for await (const __ of broken);
      })(),
    ).rejects.toMatchObject({ code: Status.CANCELLED });
  });

  it('a bidirectional call that the server ends with an error gives what came before it', async () => {
    const received: string[] = [];
    const run = async (): Promise<void> => {
      for await (const answer of client.bidi(
        method('Chat', 'bidi'),
        (async function* () {
          yield Buffer.from('one');
          yield Buffer.from('stop');
        })(),
      ))
        received.push(text(answer));
    };
    await expect(run()).rejects.toMatchObject({ code: Status.ABORTED, message: 'stopped' });
    expect(received).toEqual(['one']);
  });
});

describe('the life of a connection', () => {
  it('goes from idle over connecting to ready, fails fast while the address is dead, and comes back by itself', async () => {
    const port = await freePort();
    const states: string[] = [];
    const client = new WireClient({
      host: '127.0.0.1',
      port,
      limits: { backoffMinMs: 50, backoffMaxMs: 50 },
      onConnectivity: (state) => states.push(state),
    });
    expect(client.connectivity).toBe('idle');
    const error = await failure(client.unary(method('Unary'), Buffer.from('x')));
    expect(error).toMatchObject({ code: Status.UNAVAILABLE });
    expect(error.message).toContain('ECONNREFUSED');
    const patient = client.unary(method('Unary'), Buffer.from('patient'), { waitForReady: true, timeoutMs: 5000 });
    const server = new WireServer(testService(SEEN()));
    await server.listen({ port });
    expect(text(await patient)).toBe('patient');
    expect(states).toEqual(expect.arrayContaining(['connecting', 'backoff', 'ready']));
    await client.close();
    await server.drain(1000);
  });

  it('a rolling restart loses no call of a client that retries', async () => {
    const port = await freePort();
    const makeServer = async (): Promise<WireServer> => {
      const server = new WireServer(testService(SEEN()));
      await server.listen({ port, reusePort: true });
      return server;
    };
    const client = new WireClient({
      host: '127.0.0.1',
      port,
      retry: { attemptsMax: 5, backoffMs: 20 },
      limits: { backoffMinMs: 20, backoffMaxMs: 20 },
    });
    let server = await makeServer();
    let answered = 0;
    let running = true;
    const callers = Array.from({ length: 8 }, async () => {
      while (running) {
        expect(text(await client.unary(method(answered % 2 === 0 ? 'Hot' : 'Later'), Buffer.from('x'), { timeoutMs: 5000 }))).toBe('x');
        answered++;
      }
    });
    for (let restart = 0; restart < 10; restart++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      const next = await makeServer();
      await server.drain(2000);
      server = next;
    }
    running = false;
    await Promise.all(callers);
    expect(answered).toBeGreaterThan(100);
    await client.close();
    await server.drain(1000);
  });

  it('an old connection is drained by the server, and the client goes on over a new one without an error', async () => {
    const server = new WireServer(testService(SEEN()), { limits: { connectionAgeMs: 300 } });
    const { port } = await server.listen({ port: 0 });
    const client = new WireClient({ host: '127.0.0.1', port });
    const until = Date.now() + 2500;
    while (Date.now() < until) expect(text(await client.unary(method('Later'), Buffer.from('x')))).toBe('x');
    expect(server.stats.connectionsAccepted).toBeGreaterThan(1);
    expect(server.stats.connectionsOpen).toBeLessThanOrEqual(2);
    await client.close();
    await server.drain(1000);
  });

  it('a server that accepts and says nothing is given up after the connect time', async () => {
    const silent = createServer((socket) => socket.on('error', () => undefined));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const client = new WireClient({ host: '127.0.0.1', port: (silent.address() as AddressInfo).port, limits: { connectMs: 200 } });
    expect(await failure(client.unary(method('Unary'), Buffer.from('x')))).toMatchObject({ code: Status.UNAVAILABLE });
    client.destroy();
    silent.close();
  });

  it('a connection that is reset before it is one, as by a listener that closes, is tried again at once; no more than twice in a row', async () => {
    const server = new WireServer(testService(SEEN()));
    const behind = await server.listen({ port: 0 });
    let resets = 2;
    let attempts = 0;
    const door = createServer((socket) => {
      attempts++;
      if (resets-- > 0) return void socket.resetAndDestroy();
      const onward = connect({ host: '127.0.0.1', port: behind.port });
      socket.pipe(onward).pipe(socket);
      for (const end of [socket, onward]) end.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
    const client = new WireClient({ host: '127.0.0.1', port: (door.address() as AddressInfo).port });
    expect(text(await client.unary(method('Unary'), Buffer.from('x')))).toBe('x');
    expect(attempts).toBe(3);
    await client.close();

    [resets, attempts] = [100, 0];
    const other = new WireClient({ host: '127.0.0.1', port: (door.address() as AddressInfo).port });
    expect((await failure(other.unary(method('Unary'), Buffer.from('x')))).message).toMatch(/No connection to .*ECONNRESET/);
    expect(attempts).toBe(3);
    other.destroy();
    await server.drain(1000);
    door.close();
  });

  it('a server that dies in the middle ends open calls with UNAVAILABLE', async () => {
    const server = new WireServer(testService(SEEN()));
    const { port } = await server.listen({ port: 0 });
    const client = new WireClient({ host: '127.0.0.1', port });
    const call = failure(client.unary(method('Hang'), Buffer.from('x')));
    await eventually(() => expect(server.stats.callsStarted).toBe(1));
    server.destroy();
    expect(await call).toMatchObject({ code: Status.UNAVAILABLE });
    client.destroy();
  });
});

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
