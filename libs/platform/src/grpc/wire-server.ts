import { AppError, toAppError } from '@headrace/base/errors';
import { peerAddress } from '@headrace/base/peer-address';
import {
  bidi,
  clientStream,
  hotUnary,
  serverStream,
  unary,
  type CallContext as WireCall,
  type MethodDefinition,
  type MethodEntry,
  type MethodKind,
} from '@headrace/wire/handler';
import { WireServer, type WireServerOptions } from '@headrace/wire/server';
import { GrpcError, Status } from '@headrace/wire/status';
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
import { statusOf } from './status.js';

const LIMITS: NonNullable<WireServerOptions['limits']> = {
  messageBytesMax: GRPC_LIMITS.receivedMessageBytes,
  streamsMax: GRPC_LIMITS.streams,
  connectionIdleMs: GRPC_LIMITS.connectionIdleMs,
  keepaliveMs: GRPC_LIMITS.keepaliveMs,
  keepaliveTimeoutMs: GRPC_LIMITS.keepaliveTimeoutMs,
};

/** gRPC over libs/wire: the transport of the data plane. The same service tables as over grpc-js, and methods with a `hot` handler run by it. */
export async function startWireServer(options: GrpcServerOptions): Promise<RunningGrpcServer> {
  const { host, log, telemetry, tls } = options;
  const runner = new CallRunner(options);
  const methods = options.services.flatMap((service) => service.methods);
  const server = new WireServer(
    methods.map((method) => (method.hot ? hotEntry(method, method.hot, runner) : ordinaryEntry(method, runner))),
    {
      limits: LIMITS,
      ...hotGuard(methods, options),
      ...(tls ? { tls: { ...tls.material.material, requestCert: tls.isMutual, rejectUnauthorized: tls.isMutual } } : {}),
      onDefect: (error) => log.error('a defect in the gRPC transport or in a hot handler', { error }),
    },
  );
  const gauge = telemetry.gauge({
    name: 'headrace_grpc_wire',
    help: 'Counters of the wire transport since its start; connectionsOpen and bufferedBytes are what is there now',
    labels: ['what'],
  });
  Object.assign(gauge, { collect: () => Object.entries(server.stats).forEach(([what, value]) => gauge.set({ what }, value as number)) });
  const { port } = await server.listen({ host, port: options.port, reusePort: options.reusePort ?? false });
  const unfollow = tls?.material.follow((material) => server.renewTls(material));
  const close = async (timeoutMs: number): Promise<void> => {
    unfollow?.();
    await server.drain(timeoutMs);
  };
  return { address: peerAddress(`${bracket(host)}:${port}`, tls !== undefined), close };
}

/**
 * The guard of hot methods. The transport asks once for each distinct header block of a connection and keeps the answer with the block, so that
 * every call is checked and a repeated one costs nothing; without an API key nothing is asked at all. Ordinary methods pass the guard in CallRunner.
 */
function hotGuard(methods: readonly GrpcMethod[], { guard }: GrpcServerOptions): Pick<WireServerOptions, 'authorize'> {
  if (guard.isOpen) return {};
  const hot = new Set(methods.filter((method) => method.hot).map((method) => method.path));
  return {
    authorize: (path, metadata) => {
      if (!hot.has(path)) return undefined;
      try {
        guard.admit('grpc', path, metadata.text('authorization'));
        return undefined;
      } catch (thrown) {
        return toGrpcError(thrown);
      }
    },
  };
}

function hotEntry(method: GrpcMethod, hot: NonNullable<GrpcMethod['hot']>, runner: CallRunner): MethodEntry {
  return hotUnary(method.path, (replies) =>
    hot(replies, (reply, error) => {
      runner.report(method.path, error, error);
      const { code, message, details } = statusOf(error);
      replies.fail(reply, code, message, details);
    }),
  );
}

function ordinaryEntry(method: GrpcMethod, runner: CallRunner): MethodEntry {
  const one = (request: unknown, call: WireCall): Promise<unknown> =>
    runner.unary(method, incoming(method, call), () => requestOf(request)).catch(rethrow);
  const many = (request: () => unknown, call: WireCall): AsyncIterable<unknown> =>
    pulled((emit) => runner.stream(method, incoming(method, call), request, emit).catch(rethrow));
  switch (kindOf(method)) {
    case 'unary':
      return unary(definitionOf(method), one);
    case 'server-stream':
      return serverStream(definitionOf(method), (request, call) => many(() => requestOf(request), call));
    case 'client-stream':
      return clientStream(definitionOf(method), (requests, call) => one(requestsOf(requests), call));
    case 'bidi':
      return bidi(definitionOf(method), (requests, call) => many(() => requestsOf(requests), call));
  }
}

function kindOf({ requestStream, responseStream }: GrpcMethod): MethodKind {
  if (requestStream) return responseStream ? 'bidi' : 'client-stream';
  return responseStream ? 'server-stream' : 'unary';
}

function definitionOf(method: GrpcMethod): MethodDefinition<unknown, unknown> {
  return {
    path: method.path,
    kind: kindOf(method),
    // A copy: messages may keep parts of their bytes, and these are overwritten by the next chunk.
    request: { decode: (bytes, offset, length) => decodeRequest(method, Uint8Array.prototype.slice.call(bytes, offset, offset + length)) },
    response: { encode: (message, writer) => writer.raw(method.response.encode(message)) },
  };
}

function incoming({ path }: GrpcMethod, call: WireCall): IncomingCall {
  const metadata = new Map<string, string>();
  for (const [name, value] of call.metadata) if (typeof value === 'string') metadata.set(name, value);
  const onGone = (callback: (why: AppError) => void): void => {
    const { signal } = call;
    const isLate = (): boolean => signal.reason instanceof GrpcError && signal.reason.code === Status.DEADLINE_EXCEEDED;
    const gone = (): void =>
      callback(
        isLate()
          ? new AppError('DEADLINE_EXCEEDED', `${path}: no answer within the deadline`)
          : new AppError('CANCELLED', `${path}: cancelled by the caller`),
      );
    if (signal.aborted) gone();
    else signal.addEventListener('abort', gone, { once: true });
  };
  return { metadata, deadlineMs: call.deadlineMs, peer: call.peer, onGone };
}

function rethrow(thrown: unknown): never {
  throw toGrpcError(thrown);
}

function toGrpcError(thrown: unknown): GrpcError {
  const { code, message, details } = statusOf(thrown);
  return new GrpcError(code, message, { details, cause: toAppError(thrown) });
}

/** Work that pushes -> an iterable that is pulled: `emit` resolves when its message was taken and the next is asked for. */
async function* pulled(work: (emit: (message: unknown) => Promise<void>) => Promise<void>): AsyncIterable<unknown> {
  const waiting: { readonly message: unknown; readonly taken: () => void }[] = [];
  let onChange = (): void => undefined;
  let end: { readonly error?: unknown } | undefined;
  const emit = (message: unknown): Promise<void> =>
    new Promise((taken) => {
      waiting.push({ message, taken });
      onChange();
    });
  void work(emit).then(
    () => ((end = {}), onChange()),
    (error: unknown) => ((end = { error }), onChange()),
  );
  for (;;) {
    const next = waiting.shift();
    if (next) {
      try {
        yield next.message;
      } finally {
        next.taken();
      }
    } else if (end) {
      if ('error' in end) throw end.error;
      return;
    } else await new Promise<void>((resolve) => (onChange = resolve));
  }
}
