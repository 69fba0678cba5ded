import { AppError, toAppError } from '@headrace/base/errors';
import { assert } from '@headrace/base/assert';
import {
  Server,
  ServerCredentials,
  type Metadata,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition as GrpcJsDefinition,
  type UntypedHandleCall,
} from '@grpc/grpc-js';
import type { Guard, Principal } from '../guard.js';
import type { Log } from '../log.js';
import type { Telemetry } from '../telemetry.js';
import type { CallContext, GrpcMethod, GrpcService } from './definition.js';
import { toStatus } from './status.js';

export { bindGrpc, type CallContext, type Codec, type GrpcService, type Implementation } from './definition.js';

/**
 * Bounds that grpc-js leaves open: by itself it announces 4 billion streams, an unlimited header list and unlimited session memory
 * (measured). Milliseconds and bytes.
 */
const LIMITS = {
  'grpc.max_receive_message_length': 16 * 1024 * 1024,
  'grpc.max_send_message_length': 64 * 1024 * 1024,
  'grpc.max_concurrent_streams': 1000,
  'grpc-node.max_session_memory': 32,
  'grpc.max_connection_idle_ms': 300_000,
  'grpc.keepalive_time_ms': 60_000,
  'grpc.keepalive_timeout_ms': 20_000,
} as const;

/** A call without a deadline may not live longer than this. */
const LONGEST_UNARY_MS = 600_000;

export interface GrpcServerOptions {
  readonly host: string;
  readonly port: number;
  readonly services: readonly GrpcService[];
  readonly guard: Guard;
  readonly telemetry: Telemetry;
  readonly log: Log;
}

export interface RunningGrpcServer {
  /** `host:port` */
  readonly address: string;
  /** Lets calls in flight end for at most `timeoutMs`, then cuts them. */
  close(timeoutMs: number): Promise<void>;
}

/** Control-plane gRPC over grpc-js: guard, deadline, trace, metrics and error mapping around every handler. */
export async function startGrpcServer(options: GrpcServerOptions): Promise<RunningGrpcServer> {
  const server = new Server(LIMITS);
  const seconds = options.telemetry.histogram({ name: 'headrace_grpc_server_seconds', help: 'Time from request to answer', labels: ['method', 'code'] });
  for (const service of options.services) {
    const definition: Record<string, GrpcJsDefinition[string]> = {};
    const handlers: Record<string, UntypedHandleCall> = {};
    for (const method of service.methods) {
      definition[method.path] = {
        path: method.path,
        requestStream: method.requestStream,
        responseStream: method.responseStream,
        requestSerialize: (message: unknown) => Buffer.from(method.request.encode(message)),
        requestDeserialize: (bytes: Buffer) => decoded(method, bytes),
        responseSerialize: (message: unknown) => toBuffer(method.response.encode(message)),
        responseDeserialize: (bytes: Buffer) => method.response.decode(bytes),
      };
      handlers[method.path] = wrap(method, options, (code, startedAt) => seconds.observe({ method: method.path, code }, (performance.now() - startedAt) / 1000));
    }
    server.addService(definition, handlers);
  }
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${bracket(options.host)}:${options.port}`, ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  return { address: `${bracket(options.host)}:${port}`, close: (timeoutMs) => drain(server, timeoutMs) };
}

type AnyCall = ServerUnaryCall<unknown, unknown> & ServerReadableStream<unknown, unknown> & ServerWritableStream<unknown, unknown> & ServerDuplexStream<unknown, unknown>;
type Finish = (error: unknown, value?: unknown) => void;

function wrap(method: GrpcMethod, options: GrpcServerOptions, observe: (code: string, startedAt: number) => void): UntypedHandleCall {
  const { guard, telemetry, log } = options;
  const run = async (call: AnyCall, finish: Finish): Promise<void> => {
    const startedAt = performance.now();
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(new AppError('DEADLINE_EXCEEDED', `${method.path}: no answer within the deadline`)), remainingMs(call));
    call.on('cancelled', () => abort.abort(new AppError('CANCELLED', `${method.path}: cancelled by the caller`)));
    let code = 'OK';
    try {
      const principal = guard.admit('grpc', method.path, text(call.metadata, 'authorization'));
      const context = contextOf(method.path, call, abort.signal, principal);
      await telemetry.span(`grpc ${method.path}`, { 'rpc.system': 'grpc', 'rpc.method': method.path }, () => answer(method, call, context, finish), context.traceparent);
    } catch (thrown) {
      const error = toAppError(thrown);
      code = error.code;
      if (code === 'INTERNAL') log.error('rpc failed', { method: method.path, error: thrown });
      finish(toStatus(error));
    } finally {
      clearTimeout(timer);
      observe(code, startedAt);
    }
  };
  if (method.responseStream) {
    return ((call: AnyCall) => void run(call, (error) => (error ? call.emit('error', error) : call.end()))) as UntypedHandleCall;
  }
  return ((call: AnyCall, callback: (error: unknown, value?: unknown) => void) => void run(call, callback)) as UntypedHandleCall;
}

async function answer(method: GrpcMethod, call: AnyCall, context: CallContext, finish: Finish): Promise<void> {
  const request = method.requestStream ? requests(call) : unwrap(call.request);
  const result = method.handle(request, context);
  if (!method.responseStream) return finish(null, await abortable(result as Promise<unknown>, context.signal));
  for await (const message of result as AsyncIterable<unknown>) {
    context.signal.throwIfAborted();
    // Backpressure: wait for the peer to read before the next message is made.
    if (!call.write(message)) await new Promise<void>((resolve, reject) => {
      call.once('drain', resolve);
      context.signal.addEventListener('abort', () => reject(context.signal.reason), { once: true });
    });
  }
  finish(null);
}

/** A malformed message must become a clear error, not grpc-js's bare INTERNAL: the fault is carried to the handler. */
class Undecodable {
  readonly error: AppError;
  constructor(error: AppError) {
    this.error = error;
  }
}

function decoded(method: GrpcMethod, bytes: Buffer): unknown {
  try {
    return method.request.decode(bytes);
  } catch (error) {
    const reason = error instanceof AppError ? error : new AppError('REQUEST_INVALID', `${method.path}: the request is not a valid message`, { cause: error });
    return new Undecodable(reason);
  }
}

function unwrap(message: unknown): unknown {
  if (message instanceof Undecodable) throw message.error;
  return message;
}

async function* requests(call: AsyncIterable<unknown>): AsyncIterable<unknown> {
  for await (const message of call) yield unwrap(message);
}

function contextOf(method: string, call: AnyCall, signal: AbortSignal, principal: Principal): CallContext {
  const deadline = call.getDeadline();
  return {
    method,
    metadata: new Map(Object.keys(call.metadata.getMap()).map((name) => [name, String(call.metadata.getMap()[name])])),
    deadlineMs: deadline instanceof Date ? deadline.getTime() : deadline,
    signal,
    traceparent: text(call.metadata, 'traceparent') ?? '',
    peer: call.getPeer(),
    principal,
  };
}

function remainingMs(call: AnyCall): number {
  const deadline = call.getDeadline();
  const left = (deadline instanceof Date ? deadline.getTime() : deadline) - Date.now();
  return Math.max(0, Math.min(left, LONGEST_UNARY_MS));
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

function drain(server: Server, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    // tryShutdown waits for ever on an open stream (measured), so it gets a bound.
    const timer = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, timeoutMs);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function text(metadata: Metadata, name: string): string | undefined {
  const value = metadata.get(name)[0];
  assert(value === undefined || typeof value === 'string', `${name} is text metadata`);
  return value;
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function bracket(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
