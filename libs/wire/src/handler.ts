import type { ProtoWriter } from '@headrace/codec/writer';
import type { Metadata } from './metadata.js';
import type { StatusCode } from './status.js';

/**
 * The one interface between a service and a transport (`wire`, or grpc-js as the fallback). A service is a table of methods; the transport
 * brings each call to its handler, and everything else (frames, headers, deadlines, cancellation, limits) stays in the transport.
 */
export type MethodKind = 'unary' | 'server-stream' | 'client-stream' | 'bidi';

export interface Decoder<T> {
  /** Reads one message in place. The buffer is only valid during the call: copy what is kept. Throws `AppError` on bad bytes. */
  decode(bytes: Uint8Array, offset: number, length: number): T;
}

export interface Encoder<T> {
  /** Appends one message, no length in front. */
  encode(value: T, writer: ProtoWriter): void;
}

export interface MethodDefinition<Request, Response> {
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly kind: MethodKind;
  readonly request: Decoder<Request>;
  readonly response: Encoder<Response>;
}

/** What an ordinary handler may ask and say about its call. */
export interface CallContext {
  readonly path: string;
  /** Request metadata, built on first use. Names are lower case, `-bin` values are bytes. */
  readonly metadata: Metadata;
  /** Milliseconds since the epoch, or Infinity when the caller set none. */
  readonly deadlineMs: number;
  /** Aborts at the deadline, on cancellation and when the connection is lost; its reason is a `GrpcError`. Built on first use. */
  readonly signal: AbortSignal;
  /** `address:port` of the caller. */
  readonly peer: string;
  /** Headers sent before the first message; throws when they have gone out already. */
  setInitialMetadata(metadata: Metadata): void;
  /** Trailers sent with the status. */
  setTrailingMetadata(metadata: Metadata): void;
}

export type UnaryHandler<Request, Response> = (request: Request, call: CallContext) => Promise<Response> | Response;
export type ServerStreamHandler<Request, Response> = (request: Request, call: CallContext) => AsyncIterable<Response>;
export type ClientStreamHandler<Request, Response> = (requests: AsyncIterable<Request>, call: CallContext) => Promise<Response>;
export type BidiHandler<Request, Response> = (requests: AsyncIterable<Request>, call: CallContext) => AsyncIterable<Response>;

/** Names one unanswered hot call. It is answered exactly once, by `HotReplies`; also when the caller has gone, which is cheap. */
export type ReplyHandle = number;

/**
 * A unary handler without promise, closure or object per request. `onMessage` reads the message in place (it is overwritten after the call
 * returns) and remembers the handle. `onTick` comes once an event-loop turn in which messages arrived, after those of all sockets:
 * the place to run one batch and answer its calls; answers may also come later. Neither may throw for bad input: answer with `fail`;
 * what `onMessage` throws fails that one call, what `onTick` throws ends the process as a defect.
 */
export interface HotUnaryHandler {
  onMessage(bytes: Uint8Array, start: number, end: number, reply: ReplyHandle, deadlineMs: number): void;
  onTick(): void;
}

/** Answers to hot calls; all answers of a turn leave in one write per socket, but for what `flush` sends before. */
export interface HotReplies {
  /** The caller cancelled, the deadline passed or the connection is lost: work for it is waste, but `ok` or `fail` is still due. */
  isGone(reply: ReplyHandle): boolean;
  /** Answers with bytes that are copied before the return. */
  ok(reply: ReplyHandle, message: Uint8Array, start: number, end: number): void;
  /** Answers by encoding straight into the socket's output; `encode` is one function for all calls and `value` what it needs, such as a row. */
  okWith<T>(reply: ReplyHandle, encode: (value: T, writer: ProtoWriter) => void, value: T): void;
  /** `details` is a serialized `google.rpc.Status` for `grpc-status-details-bin`. */
  fail(reply: ReplyHandle, code: StatusCode, message: string, details?: Uint8Array): void;
  /** What was answered so far leaves now: for a long turn, so that callers can go on while the rest of it is worked on. */
  flush(): void;
  /** One request header of an unanswered call, such as `traceparent`, without building the rest. */
  headerOf(reply: ReplyHandle, name: string): string | undefined;
  /** All metadata of an unanswered call, built on demand: off the hot path only. */
  metadataOf(reply: ReplyHandle): Metadata;
}

/** One line of a service's table: a definition with the handler of its kind. `hot` gets the answers' door once, at registration. */
export type MethodEntry =
  | { readonly definition: MethodDefinition<unknown, unknown>; readonly kind: 'unary'; readonly handler: UnaryHandler<unknown, unknown> }
  | {
      readonly definition: MethodDefinition<unknown, unknown>;
      readonly kind: 'server-stream';
      readonly handler: ServerStreamHandler<unknown, unknown>;
    }
  | {
      readonly definition: MethodDefinition<unknown, unknown>;
      readonly kind: 'client-stream';
      readonly handler: ClientStreamHandler<unknown, unknown>;
    }
  | { readonly definition: MethodDefinition<unknown, unknown>; readonly kind: 'bidi'; readonly handler: BidiHandler<unknown, unknown> }
  | HotEntry;

export interface HotEntry {
  readonly kind: 'hot';
  readonly path: string;
  readonly hot: (replies: HotReplies) => HotUnaryHandler;
}

export type ServiceTable = readonly MethodEntry[];

/** The helpers keep request and response types together until they are erased into the table. */
export function unary<Q, S>(definition: MethodDefinition<Q, S>, handler: UnaryHandler<Q, S>): MethodEntry {
  return { definition: erase(definition), kind: 'unary', handler: handler as UnaryHandler<unknown, unknown> };
}

export function serverStream<Q, S>(definition: MethodDefinition<Q, S>, handler: ServerStreamHandler<Q, S>): MethodEntry {
  return { definition: erase(definition), kind: 'server-stream', handler: handler as ServerStreamHandler<unknown, unknown> };
}

export function clientStream<Q, S>(definition: MethodDefinition<Q, S>, handler: ClientStreamHandler<Q, S>): MethodEntry {
  return { definition: erase(definition), kind: 'client-stream', handler: handler as ClientStreamHandler<unknown, unknown> };
}

export function bidi<Q, S>(definition: MethodDefinition<Q, S>, handler: BidiHandler<Q, S>): MethodEntry {
  return { definition: erase(definition), kind: 'bidi', handler: handler as BidiHandler<unknown, unknown> };
}

export function hotUnary(path: string, hot: (replies: HotReplies) => HotUnaryHandler): MethodEntry {
  return { kind: 'hot', path, hot };
}

/** The message as it stands on the wire, for proxies and for services that decode themselves. The decoded bytes are a copy. */
export const RAW_BYTES: Decoder<Uint8Array> & Encoder<Uint8Array> = {
  decode: (bytes, offset, length) => Uint8Array.prototype.slice.call(bytes, offset, offset + length),
  encode: (value, writer) => writer.raw(value),
};

function erase<Q, S>(definition: MethodDefinition<Q, S>): MethodDefinition<unknown, unknown> {
  return definition as MethodDefinition<unknown, unknown>;
}
