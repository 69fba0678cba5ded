import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { Client, credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WireClient } from '../src/client.js';
import { RAW_BYTES } from '../src/handler.js';
import { WireServer } from '../src/server.js';
import { Status } from '../src/status.js';
import { testService } from './services.js';

const folder = mkdtempSync(join(tmpdir(), 'wire-tls-'));
execFileSync(
  'openssl',
  [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-days',
    '2',
    '-subj',
    '/CN=localhost',
    '-addext',
    'subjectAltName=DNS:localhost,IP:127.0.0.1',
    '-keyout',
    join(folder, 'key.pem'),
    '-out',
    join(folder, 'cert.pem'),
  ],
  { stdio: 'ignore' },
);
const cert = readFileSync(join(folder, 'cert.pem'));
const key = readFileSync(join(folder, 'key.pem'));
rmSync(folder, { recursive: true });

const UNARY = { path: '/test.Echo/Unary', kind: 'unary', request: RAW_BYTES, response: RAW_BYTES } as const;
const server = new WireServer(testService({ aborts: [], ticks: 0, batches: [] }), { tls: { cert, key } });
let port: number;
beforeAll(async () => {
  ({ port } = await server.listen({ port: 0 }));
});
afterAll(() => server.drain(1000));

it('our client talks TLS to our server, many calls and large messages', async () => {
  const client = new WireClient({ host: '127.0.0.1', port, tls: { ca: cert } });
  const answers = await Promise.all(Array.from({ length: 1000 }, (_, i) => client.unary(UNARY, Buffer.from(`m${i}`))));
  expect(answers.map((bytes) => Buffer.from(bytes).toString())).toEqual(Array.from({ length: 1000 }, (_, i) => `m${i}`));
  const large = Buffer.alloc(4_000_000, 'xyz');
  expect(Buffer.compare(await client.unary(UNARY, large), large)).toBe(0);
  await client.close();
});

it('a grpc-js client talks TLS to our server', async () => {
  const client = new Client(`localhost:${port}`, credentials.createSsl(cert));
  const answer = await new Promise<Buffer>((resolve, reject) =>
    client.makeUnaryRequest(
      UNARY.path,
      (b: Buffer) => b,
      (b) => b,
      Buffer.from('secret'),
      (error, value) => (error ? reject(error) : resolve(value!)),
    ),
  );
  expect(answer.toString()).toBe('secret');
  client.close();
});

it('a client that does not trust the certificate says so', async () => {
  const client = new WireClient({ host: '127.0.0.1', port, tls: {} });
  await expect(client.unary(UNARY, Buffer.from('x'))).rejects.toMatchObject({
    code: Status.UNAVAILABLE,
    message: expect.stringContaining('self-signed'),
  });
  client.destroy();
});

it.each([[['http/1.1']], [[]]])('a TLS client that offers %j instead of h2 is turned away', async (protocols) => {
  const closed = await new Promise<boolean>((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, ca: cert, ALPNProtocols: protocols }, () => undefined);
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(true));
  });
  expect(closed).toBe(true);
});
