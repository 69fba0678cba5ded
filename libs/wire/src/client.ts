import { connect as connectPlain, isIP } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import { StreamingCall, UnaryCall } from './client-calls.js';
import type { CallHome, ClientCall } from './client-calls.js';
import { ClientConnection } from './client-connection.js';
import type { CallOptions, ClientMethod } from './client-types.js';
import type { Fields } from './header-writer.js';
import { Inflater } from './inflate.js';
import { limitsWith } from './limits.js';
import type { Limits } from './limits.js';
import type { Metadata } from './metadata.js';
import { metadataFields } from './response-fields.js';
import { NO_RETRY, withRetry } from './retry.js';
import type { RetryPolicy } from './retry.js';
import { GrpcError, Status } from './status.js';
import { Tick } from './tick.js';

export type Connectivity = 'idle' | 'connecting' | 'ready' | 'backoff' | 'closed';

export interface WireClientOptions {
  readonly host: string;
  readonly port: number;
  /** With it the connection is TLS with ALPN `h2`; `{}` takes the system's certificates. */
  readonly tls?: ConnectionOptions;
  /** Sent with every call, such as `authorization`. */
  readonly metadata?: Metadata;
  /** For unary calls. Default: none, except for calls that the server certainly has not seen. */
  readonly retry?: RetryPolicy;
  readonly limits?: Partial<Limits>;
  readonly onConnectivity?: (state: Connectivity) => void;
  readonly onDefect?: (error: unknown) => void;
}

const WATCH_MS = 1000;
/** A listener that closes resets what its kernel had taken for it and it not yet; another process behind the port takes the next attempt. So many at once, then backoff. */
const RESETS_MAX = 2;

/**
 * A gRPC client of one address over one connection. It connects at the first call, and again with backoff when the connection is lost; all
 * calls of one turn leave in one write.
 */
export class WireClient implements CallHome {
  readonly limits: Limits;
  readonly baseFields: Fields;
  private state: Connectivity = 'idle';
  private connection: ClientConnection | null = null;
  private readonly all = new Set<ClientConnection>();
  private readonly waiting = new Set<ClientCall>();
  private readonly tick = new Tick();
  private readonly inflater: Inflater;
  private failures = 0;
  /** Attempts in a row that were reset before they were a connection. */
  private resets = 0;
  private lastFailure = new GrpcError(Status.UNAVAILABLE, 'Not connected yet.');
  private backoffTimer: NodeJS.Timeout | undefined;
  private readonly watch: NodeJS.Timeout;

  constructor(private readonly options: WireClientOptions) {
    this.limits = limitsWith(options.limits);
    this.inflater = new Inflater(this.limits.inflationsMax);
    const authority = `${options.host.includes(':') ? `[${options.host}]` : options.host}:${options.port}`;
    this.baseFields = [
      [':scheme', options.tls === undefined ? 'http' : 'https'],
      [':authority', authority],
      ['te', 'trailers'],
      ['content-type', 'application/grpc'],
      ['grpc-accept-encoding', 'gzip,identity'],
      ['user-agent', 'headrace-wire'],
      ...metadataFields(options.metadata ?? []),
    ];
    this.watch = setInterval(() => this.watchAll(), WATCH_MS);
    this.watch.unref();
  }

  get connectivity(): Connectivity {
    return this.state;
  }

  unary<Q, S>(method: ClientMethod<Q, S>, request: Q, options: CallOptions = {}): Promise<S> {
    const { retry = NO_RETRY } = this.options;
    if (retry.attemptsMax === 1) return this.unaryOnce(method, request, options);
    return withRetry(retry, options.timeoutMs, options.signal, (timeoutMs) =>
      this.unaryOnce(method, request, timeoutMs === undefined ? options : { ...options, timeoutMs }),
    );
  }

  /** Leaving the loop early cancels the call. */
  serverStream<Q, S>(method: ClientMethod<Q, S>, request: Q, options: CallOptions = {}): AsyncIterableIterator<S, undefined> {
    return this.bidi(method, once(request), options);
  }

  async clientStream<Q, S>(method: ClientMethod<Q, S>, requests: AsyncIterable<Q>, options: CallOptions = {}): Promise<S> {
    const responses = this.bidi(method, requests, options);
    const first = await responses.next();
    const second = first.done === true ? first : await responses.next();
    if (first.done === true || second.done !== true)
      throw new GrpcError(Status.UNIMPLEMENTED, `${method.path} did not answer with exactly one message.`);
    return first.value;
  }

  /** Requests are taken as the server takes them; responses come in order. Leaving the loop early cancels the call. */
  bidi<Q, S>(method: ClientMethod<Q, S>, requests: AsyncIterable<Q>, options: CallOptions = {}): AsyncIterableIterator<S, undefined> {
    const call = new StreamingCall(this, method as ClientMethod<unknown, unknown>, requests, options);
    call.submit();
    return call.responses as AsyncIterableIterator<S, undefined>;
  }

  /** New calls fail at once, open ones finish; resolves when the connection is gone. */
  async close(): Promise<void> {
    const why = new GrpcError(Status.UNAVAILABLE, 'The client is closed.');
    this.enter('closed');
    clearTimeout(this.backoffTimer);
    clearInterval(this.watch);
    this.failWaiting(why, () => true);
    await Promise.all(
      [...this.all].map(
        (connection) =>
          new Promise<void>((resolve) => {
            connection.session.socket.once('close', () => resolve());
            connection.leave(why);
          }),
      ),
    );
  }

  /** Cuts open calls, too. */
  destroy(): void {
    void this.close();
    for (const connection of [...this.all]) connection.session.destroy();
  }

  submit(call: ClientCall): void {
    if (this.connection !== null && this.connection.hasRoom) return call.start(this.connection);
    if (this.state === 'closed') return call.stop(new GrpcError(Status.UNAVAILABLE, 'The client is closed.'));
    if (this.state === 'backoff' && call.options.waitForReady !== true) return call.stop(this.lastFailure);
    if (this.waiting.size >= this.limits.clientQueueMax)
      return call.stop(new GrpcError(Status.RESOURCE_EXHAUSTED, `${this.waiting.size} calls wait for the connection already.`));
    this.waiting.add(call);
    if (this.state === 'idle') this.connect();
  }

  withdraw(call: ClientCall): void {
    this.waiting.delete(call);
  }

  private unaryOnce<Q, S>(method: ClientMethod<Q, S>, request: Q, options: CallOptions): Promise<S> {
    return new Promise<S>((resolve, reject) => {
      new UnaryCall(
        this,
        method as ClientMethod<unknown, unknown>,
        request,
        options,
        resolve as (response: unknown) => void,
        reject,
      ).submit();
    });
  }

  private connect(): void {
    this.enter('connecting');
    const socket = this.openSocket();
    let failure = `no HTTP/2 server answered within ${this.limits.connectMs} ms`;
    let isReset = false;
    socket.on('error', (error: NodeJS.ErrnoException) => {
      failure = error.message;
      isReset = error.code === 'ECONNRESET';
    });
    const cap = setTimeout(() => socket.destroy(), this.limits.connectMs);
    const connection: ClientConnection = new ClientConnection(
      socket,
      this.limits,
      this.tick,
      this.inflater,
      {
        onReady: () => {
          clearTimeout(cap);
          this.failures = this.resets = 0;
          this.connection = connection;
          this.enter('ready');
          this.startWaiting();
        },
        onRoom: () => this.startWaiting(),
        onLeaving: (why) => {
          clearTimeout(cap);
          this.onLeaving(
            connection,
            connection.ready
              ? why
              : new GrpcError(Status.UNAVAILABLE, `No connection to ${this.options.host}:${this.options.port}: ${failure}.`),
            isReset,
          );
        },
        onClosed: () => this.all.delete(connection),
      },
      this.options.onDefect ?? ((error) => process.emitWarning(error instanceof Error ? error : String(error))),
    );
    this.all.add(connection);
  }

  private openSocket(): Socket {
    const { host, port, tls } = this.options;
    if (tls === undefined) return connectPlain({ host, port, noDelay: true });
    const socket = connectTls({ ...(isIP(host) === 0 ? { servername: host } : {}), ...tls, host, port, ALPNProtocols: ['h2'] });
    socket.setNoDelay(true);
    return socket;
  }

  private onLeaving(connection: ClientConnection, why: GrpcError, isReset: boolean): void {
    if (this.state === 'closed' || (this.connection !== connection && this.connection !== null)) return;
    this.connection = null;
    const isResetEarly = !connection.ready && isReset && this.resets < RESETS_MAX;
    if (isResetEarly) this.resets++;
    if (connection.ready || isResetEarly) {
      // It worked until now, or nothing has been sent: connect again at once when somebody waits, otherwise with the next call.
      this.enter('idle');
      if (this.waiting.size > 0) this.connect();
      return;
    }
    this.lastFailure = why;
    this.enter('backoff');
    this.failWaiting(why, (call) => call.options.waitForReady !== true);
    const { backoffMinMs, backoffMaxMs } = this.limits;
    const delayMs = Math.min(backoffMaxMs, backoffMinMs * 2 ** Math.min(this.failures++, 20)) * (0.8 + Math.random() * 0.4);
    this.backoffTimer = setTimeout(() => {
      if (this.waiting.size > 0) this.connect();
      else this.enter('idle');
    }, delayMs);
    this.backoffTimer.unref();
  }

  private startWaiting(): void {
    for (const call of this.waiting) {
      if (this.connection?.hasRoom !== true) return;
      this.waiting.delete(call);
      call.start(this.connection);
    }
  }

  private failWaiting(why: GrpcError, which: (call: ClientCall) => boolean): void {
    for (const call of [...this.waiting]) if (which(call)) call.stop(why);
  }

  private enter(state: Connectivity): void {
    if (this.state === state || this.state === 'closed') return;
    this.state = state;
    this.options.onConnectivity?.(state);
  }

  private watchAll(): void {
    const nowMs = Date.now();
    for (const connection of this.all) connection.watch(nowMs);
  }
}

async function* once<T>(value: T): AsyncIterable<T> {
  yield value;
}
