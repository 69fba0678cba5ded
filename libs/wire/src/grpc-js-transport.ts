import { Metadata as GrpcJsMetadata, Server, ServerCredentials, type status as grpcJsStatus } from '@grpc/grpc-js';
import type {
  handleBidiStreamingCall,
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  ServerDuplexStream,
  ServerReadableStream,
  ServerUnaryCall,
  ServerWritableStream,
  ServiceError,
} from '@grpc/grpc-js';
import { ProtoWriter } from '@headrace/codec/writer';
import { GrpcJsHotCalls } from './grpc-js-hot-calls.js';
import { fromGrpcJs, toGrpcJs } from './grpc-js-metadata.js';
import type { CallContext, MethodEntry, ServiceTable } from './handler.js';
import { limitsWith } from './limits.js';
import type { Limits } from './limits.js';
import { MessageQueue } from './message-queue.js';
import { type Metadata } from './metadata.js';
import { GrpcError, Status, toGrpcError } from './status.js';

type AnyCall =
  | ServerUnaryCall<Buffer, unknown>
  | ServerReadableStream<Buffer, unknown>
  | ServerWritableStream<Buffer, unknown>
  | ServerDuplexStream<Buffer, unknown>;
type OrdinaryEntry = Exclude<MethodEntry, { kind: 'hot' }>;

export interface GrpcJsServerOptions {
  readonly limits?: Partial<Limits>;
  readonly credentials?: ServerCredentials;
  readonly onDefect?: (error: unknown) => void;
}

/** The same service table over `@grpc/grpc-js`: the fallback by configuration, and the reference in tests. */
export class GrpcJsServer {
  private readonly server: Server;
  private readonly limits: Limits;
  private readonly onDefect: (error: unknown) => void;

  constructor(
    table: ServiceTable,
    private readonly options: GrpcJsServerOptions = {},
  ) {
    this.limits = limitsWith(options.limits);
    this.onDefect = options.onDefect ?? ((error: unknown): void => process.emitWarning(error instanceof Error ? error : String(error)));
    // grpc-js has no stream limit and unlimited session memory unless it is told (research: reliability, section 2).
    this.server = new Server({
      'grpc.max_receive_message_length': this.limits.messageBytesMax,
      'grpc.max_send_message_length': -1,
      'grpc.max_concurrent_streams': this.limits.streamsMax,
      'grpc-node.max_session_memory': Math.ceil(this.limits.connectionBufferBytesMax / 1e6),
      ...(this.limits.connectionAgeMs > 0 ? { 'grpc.max_connection_age_ms': this.limits.connectionAgeMs } : {}),
    });
    for (const entry of table) this.add(entry);
  }

  listen(options: { readonly host?: string; readonly port: number }): Promise<{ port: number }> {
    return new Promise((resolve, reject) => {
      this.server.bindAsync(
        `${options.host ?? '127.0.0.1'}:${options.port}`,
        this.options.credentials ?? ServerCredentials.createInsecure(),
        (error, port) => {
          if (error) reject(error);
          else resolve({ port });
        },
      );
    });
  }

  /** `tryShutdown` waits for ever on an open stream, so it is cut after `capMs`. */
  drain(capMs: number = this.limits.drainMs): Promise<void> {
    return new Promise((resolve) => {
      const cap = setTimeout(() => this.server.forceShutdown(), capMs);
      this.server.tryShutdown(() => {
        clearTimeout(cap);
        resolve();
      });
    });
  }

  destroy(): void {
    this.server.forceShutdown();
  }

  private add(entry: MethodEntry): void {
    const path = entry.kind === 'hot' ? entry.path : entry.definition.path;
    const response = entry.kind === 'hot' ? undefined : entry.definition.response;
    const serialize = (value: unknown): Buffer => {
      if (response === undefined) return value as Buffer;
      const writer = new ProtoWriter(256);
      response.encode(value, writer);
      return writer.bytes.subarray(0, writer.pos);
    };
    const deserialize = (bytes: Buffer): Buffer => bytes;
    const register = (handler: unknown, type: 'unary' | 'clientStream' | 'serverStream' | 'bidi'): void => {
      if (!this.server.register(path, handler as handleUnaryCall<Buffer, unknown>, serialize, deserialize, type))
        throw new Error(`The method ${path} is in the service table twice.`);
    };
    switch (entry.kind) {
      case 'hot':
        return register(new GrpcJsHotCalls(entry, this.onDefect).handle, 'unary');
      case 'unary':
        return register(this.unary(entry), 'unary');
      case 'client-stream':
        return register(this.clientStream(entry), 'clientStream');
      case 'server-stream':
        return register(this.serverStream(entry), 'serverStream');
      case 'bidi':
        return register(this.bidi(entry), 'bidi');
    }
  }

  private unary(entry: Extract<OrdinaryEntry, { kind: 'unary' }>): handleUnaryCall<Buffer, unknown> {
    return (call, callback) => {
      const context = new GrpcJsCall(call);
      Promise.resolve()
        .then(() => entry.handler(decode(entry, call.request), context))
        .then(
          (response) => {
            context.sendInitial();
            callback(null, response, context.trailers());
          },
          (error: unknown) => callback(this.serviceError(error, context)),
        );
    };
  }

  private clientStream(entry: Extract<OrdinaryEntry, { kind: 'client-stream' }>): handleClientStreamingCall<Buffer, unknown> {
    return (call, callback) => {
      const context = new GrpcJsCall(call);
      entry.handler(requestsOf(entry, call, context, this.limits), context).then(
        (response) => {
          context.sendInitial();
          callback(null, response, context.trailers());
        },
        (error: unknown) => callback(this.serviceError(error, context)),
      );
    };
  }

  private serverStream(entry: Extract<OrdinaryEntry, { kind: 'server-stream' }>): handleServerStreamingCall<Buffer, unknown> {
    return (call) => {
      const context = new GrpcJsCall(call);
      void this.pump(call, context, () => entry.handler(decode(entry, call.request), context));
    };
  }

  private bidi(entry: Extract<OrdinaryEntry, { kind: 'bidi' }>): handleBidiStreamingCall<Buffer, unknown> {
    return (call) => {
      const context = new GrpcJsCall(call);
      void this.pump(call, context, () => entry.handler(requestsOf(entry, call, context, this.limits), context));
    };
  }

  private async pump(
    call: ServerWritableStream<Buffer, unknown> | ServerDuplexStream<Buffer, unknown>,
    context: GrpcJsCall,
    start: () => AsyncIterable<unknown>,
  ): Promise<void> {
    try {
      for await (const response of start()) {
        if (call.cancelled) return;
        context.sendInitial();
        if (!call.write(response))
          await new Promise<void>((resolve) => {
            call.once('drain', resolve);
            context.onCancelled = resolve;
          });
      }
      context.sendInitial();
      call.end(context.trailers());
    } catch (error) {
      call.emit('error', this.serviceError(error, context));
    }
  }

  private serviceError(thrown: unknown, context: GrpcJsCall): ServiceError {
    const error = toGrpcError(thrown);
    if (error.code === Status.INTERNAL && error !== thrown) this.onDefect(thrown);
    const metadata = error.metadata === undefined ? context.trailers() : toGrpcJs(error.metadata);
    if (error.details !== undefined) metadata.set('grpc-status-details-bin', Buffer.from(error.details));
    return Object.assign(new Error(error.message), { code: error.code as grpcJsStatus, details: error.message, metadata });
  }
}

/** The call as our handlers see it. */
class GrpcJsCall implements CallContext {
  readonly deadlineMs: number;
  private readonly controller = new AbortController();
  private initial: Metadata | undefined;
  private trailing: Metadata | undefined;
  private initialSent = false;
  onCancelled: (() => void) | undefined;

  constructor(private readonly call: AnyCall) {
    const deadline = call.getDeadline();
    this.deadlineMs = typeof deadline === 'number' ? deadline : deadline.getTime();
    (call as ServerUnaryCall<Buffer, unknown>).on('cancelled', () => {
      const late = Date.now() >= this.deadlineMs;
      this.controller.abort(
        new GrpcError(
          late ? Status.DEADLINE_EXCEEDED : Status.CANCELLED,
          late ? `The deadline of ${this.path} passed.` : 'The caller cancelled.',
        ),
      );
      this.onCancelled?.();
    });
  }

  get path(): string {
    return this.call.getPath();
  }

  get metadata(): Metadata {
    return fromGrpcJs(this.call.metadata);
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  get peer(): string {
    return this.call.getPeer();
  }

  setInitialMetadata(metadata: Metadata): void {
    if (this.initialSent) throw new Error(`${this.path}: the headers have gone out already.`);
    this.initial = metadata;
  }

  setTrailingMetadata(metadata: Metadata): void {
    this.trailing = metadata;
  }

  sendInitial(): void {
    if (!this.initialSent && this.initial !== undefined) this.call.sendMetadata(toGrpcJs(this.initial));
    this.initialSent = true;
  }

  trailers(): GrpcJsMetadata {
    return this.trailing === undefined ? new GrpcJsMetadata() : toGrpcJs(this.trailing);
  }
}

/** By events and not by iterating the stream: leaving such a loop destroys the call before its status is sent. */
function requestsOf(
  entry: OrdinaryEntry,
  call: ServerReadableStream<Buffer, unknown> | ServerDuplexStream<Buffer, unknown>,
  context: CallContext,
  limits: Limits,
): AsyncIterable<unknown> {
  const requests = new MessageQueue<unknown>(limits.streamQueueMessages, limits.streamWindowBytes, () => {
    if (!requests.isFull) call.resume();
  });
  call.on('data', (bytes: Buffer) => {
    try {
      requests.push(decode(entry, bytes), bytes.length);
    } catch (error) {
      requests.fail(error);
    }
    if (requests.isFull) call.pause();
  });
  call.on('end', () => requests.end());
  call.on('cancelled', () => requests.fail(context.signal.reason));
  return requests;
}

function decode(entry: OrdinaryEntry, bytes: Buffer): unknown {
  return entry.definition.request.decode(bytes, 0, bytes.length);
}
