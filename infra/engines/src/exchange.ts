import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { AppError, messageOf } from '@headrace/base/errors';

/*
 * The probes stand on this. "Ready" means that an engine answered a request of its own protocol: an open port says too little, as Kafka
 * opens its port seconds before it serves.
 */

export interface ExchangeOptions {
  readonly timeoutMs: number;
  readonly tls?: boolean;
}

/** Sends one request and collects bytes until `complete`; rejects with the reason otherwise. */
export function exchange(
  address: string,
  request: Buffer,
  complete: (bytes: Buffer) => boolean,
  options: ExchangeOptions,
): Promise<Buffer> {
  return converse(address, options, (socket, done) => {
    let bytes = Buffer.alloc(0);
    socket.write(request);
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      if (complete(bytes)) done(bytes);
    });
  });
}

/** Only opens a connection. */
export function reach(address: string, timeoutMs: number): Promise<void> {
  return converse(address, { timeoutMs }, (_socket, done) => done(undefined));
}

function converse<T>(address: string, options: ExchangeOptions, talk: (socket: Socket, done: (value: T) => void) => void): Promise<T> {
  const { host, port } = splitAddress(address);
  return new Promise((resolve, reject) => {
    const socket = options.tls === true ? connectTls({ host, port, servername: host }) : connect({ host, port });
    const settle = (action: () => void): void => {
      clearTimeout(timer);
      socket.destroy();
      action();
    };
    const fail = (reason: string): void => settle(() => reject(unavailable(address, reason)));
    const timer = setTimeout(() => fail(`no answer within ${options.timeoutMs} ms`), options.timeoutMs);
    socket.once(options.tls === true ? 'secureConnect' : 'connect', () => talk(socket, (value) => settle(() => resolve(value))));
    socket.once('error', (thrown) => fail(messageOf(thrown)));
    socket.once('close', () => fail('closed the connection without an answer'));
  });
}

/** `host:port`, also `[::1]:9092`. */
export function splitAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(address.trim());
  if (match === null) throw new AppError('CONFIG_INVALID', `"${address}" is not host:port`);
  return { host: (match[1] ?? match[2])!, port: Number(match[3]) };
}

export function unavailable(address: string, reason: string): AppError {
  return new AppError('DEPENDENCY_UNAVAILABLE', `${address}: ${reason}`);
}
