import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import pg from 'pg';
import { AppError, messageOf } from '@headrace/base/errors';

/*
 * "Ready" means: it answered a request of its own protocol. An open port says too little: Kafka opens its port seconds before it serves.
 * Each probe resolves when the engine answered and rejects with the reason otherwise.
 */

/** Kafka: ApiVersions v0 must come back without an error code. The broker answers it only after it joined its cluster. */
export async function probeKafka(broker: string, timeoutMs = 2_000): Promise<void> {
  const answer = await exchange(
    broker,
    kafkaRequest(API_VERSIONS, 0, Buffer.alloc(0)),
    timeoutMs,
    (bytes) => bytes.length >= 4 && bytes.length >= 4 + bytes.readInt32BE(0),
  );
  const errorCode = answer.length >= 10 ? answer.readInt16BE(8) : -1;
  if (answer.readInt32BE(4) !== CORRELATION_ID || errorCode !== 0)
    throw unavailable(broker, `answered ApiVersions with error code ${errorCode}`);
}

/** Kafka that somebody else runs may want TLS or a login, so only the connection is tried. */
export async function probeTcp(address: string, timeoutMs = 5_000): Promise<void> {
  await exchange(address, Buffer.alloc(0), timeoutMs, () => true, true);
}

/** Postgres: one query over a new, authenticated connection. */
export async function probePostgres(url: string, timeoutMs = 2_000): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: timeoutMs, query_timeout: timeoutMs });
  client.on('error', () => undefined); // a connection that breaks also rejects the call below
  try {
    await client.connect();
    await client.query('select 1');
  } finally {
    await client.end().catch(() => undefined); // never opened: nothing to close
  }
}

/** Redis: AUTH when the URL has a password, then PING. */
export async function probeRedis(url: string, timeoutMs = 2_000): Promise<void> {
  const { hostname, port, username, password, protocol } = new URL(url);
  const auth = password === '' ? [] : [['AUTH', ...(username === '' ? [] : [decodeURIComponent(username)]), decodeURIComponent(password)]];
  const request = Buffer.from([...auth, ['PING']].map(respCommand).join(''));
  const answer = await exchange(
    `${hostname}:${port || '6379'}`,
    request,
    timeoutMs,
    (bytes) => /\+PONG\r\n|^-.*\r\n/m.test(bytes.toString('latin1')),
    false,
    protocol === 'rediss:',
  );
  const text = answer.toString('latin1');
  if (!text.includes('+PONG')) throw unavailable(`${hostname}:${port}`, text.trim());
}

const API_VERSIONS = 18;
const FIND_COORDINATOR = 10;
const CORRELATION_ID = 7;

/**
 * Makes a new broker create its offsets topic now, not when the first consumer joins (which otherwise meets COORDINATOR_NOT_AVAILABLE
 * and sleeps). The answer does not matter.
 */
export async function warmGroupCoordinator(broker: string, timeoutMs = 2_000): Promise<void> {
  const group = Buffer.from('headrace-warm-up');
  const body = Buffer.concat([int16(group.length), group, Buffer.from([0])]);
  await exchange(
    broker,
    kafkaRequest(FIND_COORDINATOR, 1, body),
    timeoutMs,
    (bytes) => bytes.length >= 4 && bytes.length >= 4 + bytes.readInt32BE(0),
  );
}

/** Request header v1: size, api key, api version, correlation id, client id (nullable string). */
function kafkaRequest(apiKey: number, apiVersion: number, body: Buffer): Buffer {
  const clientId = Buffer.from('headrace-probe');
  const header = Buffer.concat([int16(apiKey), int16(apiVersion), int32(CORRELATION_ID), int16(clientId.length), clientId]);
  return Buffer.concat([int32(header.length + body.length), header, body]);
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function respCommand(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;
}

/** Sends one request and collects bytes until `complete`. With `connectOnly` the connection itself is the answer. */
function exchange(
  address: string,
  request: Buffer,
  timeoutMs: number,
  complete: (bytes: Buffer) => boolean,
  connectOnly = false,
  tls = false,
): Promise<Buffer> {
  const { host, port } = splitAddress(address);
  return new Promise((resolve, reject) => {
    const socket: Socket = tls ? connectTls({ host, port, servername: host }) : connect({ host, port });
    let bytes = Buffer.alloc(0);
    const settle = (action: () => void): void => {
      clearTimeout(timer);
      socket.destroy();
      action();
    };
    const timer = setTimeout(() => settle(() => reject(unavailable(address, `no answer within ${timeoutMs} ms`))), timeoutMs);
    socket.once(tls ? 'secureConnect' : 'connect', () => (connectOnly ? settle(() => resolve(bytes)) : socket.write(request)));
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      if (complete(bytes)) settle(() => resolve(bytes));
    });
    socket.once('error', (thrown) => settle(() => reject(unavailable(address, messageOf(thrown)))));
    socket.once('close', () => settle(() => reject(unavailable(address, 'closed the connection without an answer'))));
  });
}

/** `host:port`, also `[::1]:9092`. */
export function splitAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(address.trim());
  if (match === null) throw new AppError('CONFIG_INVALID', `"${address}" is not host:port`);
  return { host: (match[1] ?? match[2])!, port: Number(match[3]) };
}

function unavailable(address: string, reason: string): AppError {
  return new AppError('DEPENDENCY_UNAVAILABLE', `${address}: ${reason}`);
}
