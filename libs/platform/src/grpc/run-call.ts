import { AppError, toAppError } from '@headrace/base/errors';
import type { LiveTlsMaterial } from '@headrace/wire/tls-material';
import type { Histogram } from 'prom-client';
import type { Guard } from '../guard.js';
import type { Log } from '../log.js';
import type { Telemetry } from '../telemetry.js';
import type { CallContext, GrpcMethod, GrpcService } from './definition.js';

export interface GrpcServerOptions {
  readonly host: string;
  readonly port: number;
  /** Several processes listen there; only over wire. Default false. */
  readonly reusePort?: boolean;
  readonly services: readonly GrpcService[];
  /** Default: plain text. */
  readonly tls?: DoorTls | undefined;
  readonly guard: Guard;
  readonly telemetry: Telemetry;
  readonly log: Log;
}

export interface DoorTls {
  readonly material: LiveTlsMaterial;
  /** Callers must show a certificate that `ca` signed. */
  readonly isMutual: boolean;
}

export interface RunningGrpcServer {
  /** `host:port`, or `https://host:port` with TLS: what `createClient` takes. */
  readonly address: string;
  /** Lets calls in flight end for at most `timeoutMs`, then cuts them. */
  close(timeoutMs: number): Promise<void>;
}

/** Bounds that hold whichever transport carries the calls. Bytes, counts and milliseconds. */
export const GRPC_LIMITS = {
  receivedMessageBytes: 16 * 1024 * 1024,
  streams: 1000,
  connectionIdleMs: 300_000,
  keepaliveMs: 60_000,
  keepaliveTimeoutMs: 20_000,
} as const;

/** A call without a deadline may not live longer than this. */
const LONGEST_CALL_MS = 600_000;

/** A call as a transport knows it. */
export interface IncomingCall {
  /** Text metadata, lower-case names. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Absolute, ms since the epoch; Infinity = none. */
  readonly deadlineMs: number;
  readonly peer: string;
  /** Calls back when nobody waits for the answer any more. */
  onGone(callback: (why: AppError) => void): void;
}

/** What stands around every ordinary handler, whichever transport brought the call: guard, deadline, trace, metrics, errors. */
export class CallRunner {
  readonly #guard: Guard;
  readonly #telemetry: Telemetry;
  readonly #log: Log;
  readonly #seconds: Histogram<'method' | 'code'>;

  constructor({ guard, telemetry, log }: Pick<GrpcServerOptions, 'guard' | 'telemetry' | 'log'>) {
    this.#guard = guard;
    this.#telemetry = telemetry;
    this.#log = log;
    this.#seconds = telemetry.histogram({
      name: 'headrace_grpc_server_seconds',
      help: 'Time from request to answer',
      labels: ['method', 'code'],
    });
  }

  /** A call with one answer. @throws AppError */
  unary(method: GrpcMethod, call: IncomingCall, request: () => unknown): Promise<unknown> {
    return this.#run(method, call, (context) => abortable(method.handle(request(), context) as Promise<unknown>, context.signal));
  }

  /** A call with many answers; `emit` resolves when the peer has room for the next. @throws AppError */
  stream(
    method: GrpcMethod,
    call: IncomingCall,
    request: () => unknown,
    emit: (message: unknown, signal: AbortSignal) => Promise<void> | undefined,
  ): Promise<void> {
    return this.#run(method, call, async (context) => {
      for await (const message of method.handle(request(), context) as AsyncIterable<unknown>) {
        context.signal.throwIfAborted();
        await emit(message, context.signal);
      }
    });
  }

  /** An error that the caller must not see in full is written to the log. */
  report(method: string, error: AppError, thrown: unknown): void {
    if (error.code === 'INTERNAL') this.#log.error('rpc failed', { method, error: thrown });
  }

  async #run<T>({ path }: GrpcMethod, call: IncomingCall, work: (context: CallContext) => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    const abort = new AbortController();
    const timer = setTimeout(
      () => abort.abort(new AppError('DEADLINE_EXCEEDED', `${path}: no answer within the deadline`)),
      remainingMs(call.deadlineMs),
    );
    call.onGone((why) => abort.abort(why));
    let code = 'OK';
    try {
      const { metadata, deadlineMs, peer } = call;
      const principal = this.#guard.admit('grpc', path, metadata.get('authorization'));
      const traceparent = metadata.get('traceparent') ?? '';
      const context: CallContext = { method: path, metadata, deadlineMs, signal: abort.signal, traceparent, peer, principal };
      return await this.#telemetry.span(`grpc ${path}`, { 'rpc.system': 'grpc', 'rpc.method': path }, () => work(context), traceparent);
    } catch (thrown) {
      const error = toAppError(thrown);
      code = error.code;
      this.report(path, error, thrown);
      throw error;
    } finally {
      clearTimeout(timer);
      this.#seconds.observe({ method: path, code }, (performance.now() - startedAt) / 1000);
    }
  }
}

/** A malformed message must become a clear error with its details, not the bare one of a transport: the fault is carried to the handler. */
class Undecodable {
  readonly error: AppError;
  constructor(error: AppError) {
    this.error = error;
  }
}

export function decodeRequest(method: GrpcMethod, bytes: Uint8Array): unknown {
  try {
    return method.request.decode(bytes);
  } catch (error) {
    return new Undecodable(
      error instanceof AppError
        ? error
        : new AppError('REQUEST_INVALID', `${method.path}: the request is not a valid message`, { cause: error }),
    );
  }
}

/** What the handler gets of `decodeRequest`. @throws AppError REQUEST_INVALID */
export function requestOf(decoded: unknown): unknown {
  if (decoded instanceof Undecodable) throw decoded.error;
  return decoded;
}

export async function* requestsOf(decoded: AsyncIterable<unknown>): AsyncIterable<unknown> {
  for await (const message of decoded) yield requestOf(message);
}

/** For URLs and addresses: IPv6 in brackets. */
export function bracket(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

function remainingMs(deadlineMs: number): number {
  return Math.max(0, Math.min(deadlineMs - Date.now(), LONGEST_CALL_MS));
}

/** The handler goes on to its end, but the caller gets its answer at the deadline. */
function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) return Promise.reject(signal.reason as Error);
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
