import { EventEmitter, once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '@grpc/grpc-js';
import { CertificateFolder, TestAuthority, type Issued } from '@headrace/testkit/certificates';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WireClient } from '../src/client.js';
import { channelCredentials, serverCredentials } from '../src/grpc-js-credentials.js';
import { GrpcJsServer } from '../src/grpc-js-transport.js';
import { RAW_BYTES } from '../src/handler.js';
import { WireServer } from '../src/server.js';
import { Status } from '../src/status.js';
import { LiveTlsMaterial, type TlsMaterial } from '../src/tls-material.js';
import { testService } from './services.js';

const authority = new TestAuthority();
const ca = Buffer.from(authority.cert);
const UNARY = { path: '/test.Echo/Unary', kind: 'unary', request: RAW_BYTES, response: RAW_BYTES } as const;
const CHAT = { ...UNARY, path: '/test.Echo/Chat', kind: 'bidi' } as const;
const pem = ({ cert, key }: Issued): { cert: Buffer; key: Buffer } => ({ cert: Buffer.from(cert), key: Buffer.from(key) });

interface TlsServer {
  readonly port: number;
  renew(material: TlsMaterial): void;
  drain(): Promise<void>;
}

const table = (): ReturnType<typeof testService> => testService({ aborts: [], ticks: 0, batches: [] });

/** Both transports, with certificates that can be renewed. */
const TRANSPORTS = {
  wire: async (material: TlsMaterial, isMutual: boolean): Promise<TlsServer> => {
    const server = new WireServer(table(), { tls: { ...material, requestCert: isMutual, rejectUnauthorized: isMutual } });
    const { port } = await server.listen({ port: 0 });
    return { port, renew: (next) => server.renewTls(next), drain: () => server.drain(1000) };
  },
  'grpc-js': async (material: TlsMaterial, isMutual: boolean): Promise<TlsServer> => {
    const live = new LiveTlsMaterial(material);
    const server = new GrpcJsServer(table(), { credentials: serverCredentials(live, isMutual) });
    const { port } = await server.listen({ port: 0 });
    return { port, renew: (next) => live.renew(next), drain: () => server.drain(1000) };
  },
};

const grpcJsCall = (port: number, tls: LiveTlsMaterial, host = 'localhost'): Promise<string> => {
  const client = new Client(`${host}:${port}`, channelCredentials(`${host}:${port}`, tls));
  return new Promise<string>((resolve, reject) =>
    client.makeUnaryRequest(
      UNARY.path,
      (b: Buffer) => b,
      (b) => b,
      Buffer.from('secret'),
      { deadline: Date.now() + 5000 },
      (error, value) => (error ? reject(error) : resolve(value!.toString())),
    ),
  ).finally(() => client.close());
};

async function wireCall(port: number, tls: object, host = '127.0.0.1'): Promise<string> {
  const client = new WireClient({ host, port, tls });
  try {
    return Buffer.from(await client.unary(UNARY, Buffer.from('secret'), { timeoutMs: 5000 })).toString();
  } finally {
    client.destroy();
  }
}

/** The serial number of the certificate that a new connection is shown. */
async function shown(port: number): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, ca, ALPNProtocols: ['h2'] });
  await once(socket, 'secureConnect');
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}

describe.each(Object.entries(TRANSPORTS))('TLS over %s', (_name, start) => {
  let server: TlsServer;
  let mutual: TlsServer;
  beforeAll(async () => {
    server = await start(pem(authority.issue()), false);
    mutual = await start({ ...pem(authority.issue()), ca }, true);
  });
  afterAll(() => Promise.all([server.drain(), mutual.drain()]));

  it('our client: many calls and large messages', async () => {
    const client = new WireClient({ host: '127.0.0.1', port: server.port, tls: { ca } });
    const answers = await Promise.all(Array.from({ length: 1000 }, (_, i) => client.unary(UNARY, Buffer.from(`m${i}`))));
    expect(answers.map((bytes) => Buffer.from(bytes).toString())).toEqual(Array.from({ length: 1000 }, (_, i) => `m${i}`));
    const large = Buffer.alloc(4_000_000, 'xyz');
    expect(Buffer.compare(await client.unary(UNARY, large), large)).toBe(0);
    await client.close();
  });

  it('a grpc-js client', async () => expect(await grpcJsCall(server.port, new LiveTlsMaterial({ ca }))).toBe('secret'));

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('%s is spoken', async (version) =>
    expect(await wireCall(server.port, { ca, minVersion: version, maxVersion: version })).toBe('secret'),
  );

  it('TLS 1.1 is not', async () => {
    const tls = { ca, minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' };
    await expect(wireCall(server.port, tls)).rejects.toMatchObject({ code: Status.UNAVAILABLE });
  });

  it('a client that trusts another authority says so', async () => {
    const other = Buffer.from(new TestAuthority('other').cert);
    await expect(wireCall(server.port, { ca: other })).rejects.toMatchObject({
      code: Status.UNAVAILABLE,
      message: expect.stringMatching(/unable to verify|signature|local issuer/),
    });
    await expect(grpcJsCall(server.port, new LiveTlsMaterial({ ca: other }))).rejects.toMatchObject({ code: Status.UNAVAILABLE });
  });

  it('a client that asked for another host says so', async () => {
    const elsewhere = await start(pem(authority.issue({ hosts: ['serving.example'] })), false);
    const error = { code: Status.UNAVAILABLE, message: expect.stringContaining("does not match certificate's altnames") };
    await expect(wireCall(elsewhere.port, { ca })).rejects.toMatchObject(error);
    await expect(grpcJsCall(elsewhere.port, new LiveTlsMaterial({ ca }))).rejects.toMatchObject({ code: Status.UNAVAILABLE });
    expect(await wireCall(elsewhere.port, { ca, servername: 'serving.example' })).toBe('secret');
    await elsewhere.drain();
  });

  it('callers without a certificate, or with one of another authority, are turned away where one is asked for', async () => {
    const own = pem(authority.issue({ name: 'caller' }));
    const foreign = pem(new TestAuthority('other').issue({ name: 'caller' }));
    expect(await wireCall(mutual.port, { ca, ...own })).toBe('secret');
    expect(await grpcJsCall(mutual.port, new LiveTlsMaterial({ ca, ...own }))).toBe('secret');
    for (const identity of [{}, foreign]) {
      await expect(wireCall(mutual.port, { ca, ...identity })).rejects.toMatchObject({ code: Status.UNAVAILABLE });
      await expect(grpcJsCall(mutual.port, new LiveTlsMaterial({ ca, ...identity }))).rejects.toMatchObject({ code: Status.UNAVAILABLE });
    }
  });

  it('plain text to the port gets no answer, and callers of TLS go on', async () => {
    const plain = new WireClient({ host: '127.0.0.1', port: server.port });
    await expect(plain.unary(UNARY, Buffer.from('x'), { timeoutMs: 3000 })).rejects.toMatchObject({ code: Status.UNAVAILABLE });
    plain.destroy();
    expect(await wireCall(server.port, { ca })).toBe('secret');
  });

  it.each([[['http/1.1']], [[]]])('a client that offers %j instead of h2 gets no connection', async (protocols) => {
    const socket = connect({ host: '127.0.0.1', port: server.port, ca, ALPNProtocols: protocols });
    socket.on('error', () => undefined);
    socket.resume();
    await new Promise((resolve) => socket.once('close', resolve));
  });

  it('renewed certificates are shown to new connections, while calls and connections that stand live on', async () => {
    const renewed = await start(pem(authority.issue()), false);
    const first = await shown(renewed.port);
    const old = new WireClient({ host: '127.0.0.1', port: renewed.port, tls: { ca } });
    const failures: unknown[] = [];
    let [answered, isOver] = [0, false];
    const load = Array.from({ length: 4 }, async () => {
      while (!isOver) {
        const own = new WireClient({ host: '127.0.0.1', port: renewed.port, tls: { ca } });
        for (const client of [old, own, old]) {
          await client.unary(UNARY, Buffer.from('x')).then(
            () => answered++,
            (error: unknown) => failures.push(error),
          );
        }
        await own.close();
      }
    });
    const turns = new EventEmitter();
    const chat = old.bidi(
      CHAT,
      (async function* () {
        yield Buffer.from('before');
        await once(turns, 'renewed');
        yield Buffer.from('after');
      })(),
    );
    const heard = async (): Promise<string> => Buffer.from((await chat.next()).value!).toString();
    expect(await heard()).toBe('before');
    const serials = new Set([first]);
    for (let i = 0; i < 5; i++) {
      await sleep(50);
      renewed.renew(pem(authority.issue()));
      // grpc-js hears of it in the next tick.
      await sleep(1);
      serials.add(await shown(renewed.port));
    }
    isOver = true;
    await Promise.all(load);
    expect([failures, serials.size]).toEqual([[], 6]);
    expect(answered).toBeGreaterThan(50);
    turns.emit('renewed');
    expect(await heard()).toBe('after');
    old.destroy();
    await renewed.drain();
  }, 15_000);

  it('a renewed authority of clients decides about new connections', async () => {
    const next = new TestAuthority('next');
    const door = await start({ ...pem(authority.issue()), ca }, true);
    const [before, after] = [pem(authority.issue()), pem(next.issue())];
    expect(await wireCall(door.port, { ca, ...before })).toBe('secret');
    door.renew({ ...pem(authority.issue()), ca: Buffer.from(next.cert) });
    await sleep(1);
    expect(await wireCall(door.port, { ca, ...after })).toBe('secret');
    await expect(wireCall(door.port, { ca, ...before })).rejects.toMatchObject({ code: Status.UNAVAILABLE });
    await door.drain();
  });
});

it('a grpc-js client shows its renewed certificate, and trusts the renewed authority, when it connects again', async () => {
  const next = new TestAuthority('next');
  const before = await TRANSPORTS.wire({ ...pem(authority.issue()), ca }, true);
  const after = await TRANSPORTS.wire({ ...pem(next.issue()), ca: Buffer.from(next.cert) }, true);
  const live = new LiveTlsMaterial({ ca, ...pem(authority.issue()) });
  expect(await grpcJsCall(before.port, live)).toBe('secret');
  live.renew({ ca: Buffer.from(next.cert), ...pem(next.issue()) });
  expect(await grpcJsCall(after.port, live)).toBe('secret');
  await expect(grpcJsCall(before.port, live)).rejects.toMatchObject({ code: Status.UNAVAILABLE });
  await Promise.all([before.drain(), after.drain()]);
});

it('a drain waits for a handshake that the server has begun, and answers the calls that come by it', async () => {
  const server = new WireServer(table(), { tls: pem(authority.issue()) });
  const { port } = await server.listen({ port: 0 });
  const relay = await slowRelay(port);
  const client = new WireClient({ host: '127.0.0.1', port: relay.port, tls: { ca } });
  const call = client.unary(UNARY, Buffer.from('x'), { timeoutMs: 5000 }).then(
    (bytes) => Buffer.from(bytes).toString(),
    (error: Error) => error.message,
  );
  await relay.connected;
  await sleep(20);
  let isDrained = false;
  const drained = server.drain(5000).then(() => (isDrained = true));
  await sleep(100);
  expect(isDrained).toBe(false);
  relay.release();
  expect(await call).toBe('x');
  await drained;
  client.destroy();
  relay.close();
});

/** Forwards bytes to `port`, but the client's first bytes only when it is released. */
async function slowRelay(port: number): Promise<{ port: number; connected: Promise<void>; release(): void; close(): void }> {
  const { createServer } = await import('node:net');
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  let connected = (): void => undefined;
  const sockets: Socket[] = [];
  const isConnected = new Promise<void>((resolve) => (connected = resolve));
  const relay = createServer((client) => {
    const upstream = connectTcp(port, '127.0.0.1');
    sockets.push(client, upstream);
    for (const socket of [client, upstream]) socket.on('error', () => undefined);
    upstream.once('connect', () => {
      connected();
      upstream.pipe(client);
      void released.then(() => client.pipe(upstream));
    });
    upstream.once('close', () => client.destroy());
    client.once('close', () => upstream.destroy());
  }).listen(0, '127.0.0.1');
  await once(relay, 'listening');
  return {
    port: (relay.address() as { port: number }).port,
    connected: isConnected,
    release,
    close: () => {
      relay.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

it('peers that never end their handshake fill the bound of connections, and no more', async () => {
  const server = new WireServer(table(), { tls: pem(authority.issue()), limits: { connectionsMax: 3, handshakeMs: 300 } });
  const { port } = await server.listen({ port: 0 });
  const silent = Array.from({ length: 5 }, () => connectTcp(port, '127.0.0.1').on('error', () => undefined));
  let closed = 0;
  for (const socket of silent) socket.resume().once('close', () => closed++);
  await sleep(100);
  expect([closed, server.stats.connectionsRefused]).toEqual([2, 2]);
  await expect(wireCall(port, { ca })).rejects.toMatchObject({ code: Status.UNAVAILABLE });
  // Their time is over; then there is room.
  await sleep(400);
  expect(closed).toBe(5);
  expect(await wireCall(port, { ca })).toBe('secret');
  await server.drain(1000);
});

it('the folder of certificates leaves nothing behind', () => {
  const folder = new CertificateFolder();
  folder.write('a', authority.issue());
  folder.remove();
  expect(() => folder.file('b', '')).toThrow(/ENOENT/);
});
