import { AppError } from '@headrace/base/errors';
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
import { peerAddress } from '@headrace/base/peer-address';
import { serverCredentials } from '@headrace/wire/grpc-js-credentials';
import type { GrpcMethod } from './definition.js';
import {
  bracket,
  CallRunner,
  decodeRequest,
  GRPC_LIMITS,
  requestOf,
  requestsOf,
  type GrpcServerOptions,
  type IncomingCall,
  type RunningGrpcServer,
} from './run-call.js';
import { toStatus } from './status.js';

export { bindGrpc, type CallContext, type Codec, type GrpcMethod, type GrpcService, type Implementation } from './definition.js';
export type { GrpcServerOptions, RunningGrpcServer } from './run-call.js';

/**
 * Bounds that grpc-js leaves open: by itself it announces 4 billion streams, an unlimited header list and unlimited session memory
 * (measured). Milliseconds and bytes.
 */
const LIMITS = {
  'grpc.max_receive_message_length': GRPC_LIMITS.receivedMessageBytes,
  'grpc.max_send_message_length': 64 * 1024 * 1024,
  'grpc.max_concurrent_streams': GRPC_LIMITS.streams,
  'grpc-node.max_session_memory': 32,
  'grpc.max_connection_idle_ms': GRPC_LIMITS.connectionIdleMs,
  'grpc.keepalive_time_ms': GRPC_LIMITS.keepaliveMs,
  'grpc.keepalive_timeout_ms': GRPC_LIMITS.keepaliveTimeoutMs,
} as const;

/** gRPC over grpc-js: the transport of the control plane. */
export async function startGrpcServer(options: GrpcServerOptions): Promise<RunningGrpcServer> {
  if (options.reusePort) throw new AppError('CONFIG_INVALID', 'several processes on one port need HEADRACE_GRPC_TRANSPORT=wire');
  const server = new Server(LIMITS);
  const runner = new CallRunner(options);
  for (const service of options.services) {
    const definition: Record<string, GrpcJsDefinition[string]> = {};
    const handlers: Record<string, UntypedHandleCall> = {};
    for (const method of service.methods) {
      definition[method.path] = {
        path: method.path,
        requestStream: method.requestStream,
        responseStream: method.responseStream,
        requestSerialize: (message: unknown) => Buffer.from(method.request.encode(message)),
        requestDeserialize: (bytes: Buffer) => decodeRequest(method, bytes),
        responseSerialize: (message: unknown) => toBuffer(method.response.encode(message)),
        responseDeserialize: (bytes: Buffer) => method.response.decode(bytes),
      };
      handlers[method.path] = handlerOf(method, runner);
    }
    server.addService(definition, handlers);
  }
  const { tls } = options;
  const credentials = tls ? serverCredentials(tls.material, tls.isMutual) : ServerCredentials.createInsecure();
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${bracket(options.host)}:${options.port}`, credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  return { address: peerAddress(`${bracket(options.host)}:${port}`, tls !== undefined), close: (timeoutMs) => drain(server, timeoutMs) };
}

type AnyCall = ServerUnaryCall<unknown, unknown> &
  ServerReadableStream<unknown, unknown> &
  ServerWritableStream<unknown, unknown> &
  ServerDuplexStream<unknown, unknown>;

function handlerOf(method: GrpcMethod, runner: CallRunner): UntypedHandleCall {
  const request = (call: AnyCall) => (): unknown => (method.requestStream ? requestsOf(call) : requestOf(call.request));
  if (method.responseStream) {
    return ((call: AnyCall) =>
      void runner
        .stream(method, incoming(method, call), request(call), (message, signal) => write(call, message, signal))
        .then(
          () => call.end(),
          (error: unknown) => call.emit('error', toStatus(error)),
        )) as UntypedHandleCall;
  }
  return ((call: AnyCall, callback: (error: unknown, value?: unknown) => void) =>
    void runner.unary(method, incoming(method, call), request(call)).then(
      (value) => callback(null, value),
      (error: unknown) => callback(toStatus(error)),
    )) as UntypedHandleCall;
}

/** Backpressure: waits for the peer to read before the next message is made. */
function write(call: AnyCall, message: unknown, signal: AbortSignal): Promise<void> | undefined {
  if (call.write(message)) return undefined;
  return new Promise<void>((resolve, reject) => {
    call.once('drain', resolve);
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}

function incoming({ path }: GrpcMethod, call: AnyCall): IncomingCall {
  const deadline = call.getDeadline();
  return {
    metadata: textMetadata(call.metadata),
    deadlineMs: deadline instanceof Date ? deadline.getTime() : deadline,
    peer: call.getPeer(),
    onGone: (callback) => call.on('cancelled', () => callback(new AppError('CANCELLED', `${path}: cancelled by the caller`))),
  };
}

function textMetadata(metadata: Metadata): ReadonlyMap<string, string> {
  return new Map(Object.entries(metadata.getMap()).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
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

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
