import type { AppError } from '@headrace/base/errors';
import type { HotReplies, HotUnaryHandler, ReplyHandle } from '@headrace/wire/handler';
import type { Principal } from '../guard.js';

/** Bytes <-> message. ts-proto's generated types satisfy it; hot messages bring hand-made ones from libs/codec. */
export interface Codec<T> {
  decode(bytes: Uint8Array): T;
  encode(message: T): Uint8Array;
}

/** The generic service definition that ts-proto generates. */
export interface ServiceDefinition {
  readonly fullName: string;
  readonly methods: Readonly<Record<string, MethodDefinition>>;
}

export interface MethodDefinition {
  readonly name: string;
  readonly requestType: MessageType;
  readonly requestStream: boolean;
  readonly responseType: MessageType;
  readonly responseStream: boolean;
}

interface MessageType {
  // `never` in, `unknown` out: every generated message type fits without `any`.
  encode(message: never): { finish(): Uint8Array };
  decode(bytes: Uint8Array): unknown;
}

export type RequestOf<M extends MethodDefinition> = ReturnType<M['requestType']['decode']>;
export type ResponseOf<M extends MethodDefinition> = ReturnType<M['responseType']['decode']>;

/** What a handler knows about its call. */
export interface CallContext {
  /** `/package.Service/Method` */
  readonly method: string;
  /** Text metadata, lower-case names, last value wins. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Absolute, ms since the epoch; Infinity = none. */
  readonly deadlineMs: number;
  /** Aborts when the caller cancels, its deadline passes, or its connection breaks. */
  readonly signal: AbortSignal;
  readonly traceparent: string;
  readonly peer: string;
  readonly principal: Principal;
}

/** One typed function for each RPC; the compiler refuses a service with one missing. */
export type Implementation<D extends ServiceDefinition> = {
  readonly [M in keyof D['methods']]: D['methods'][M]['responseStream'] extends true
    ? (request: RequestInput<D['methods'][M]>, call: CallContext) => AsyncIterable<ResponseOf<D['methods'][M]>>
    : (request: RequestInput<D['methods'][M]>, call: CallContext) => Promise<ResponseOf<D['methods'][M]>>;
};

type RequestInput<M extends MethodDefinition> = M['requestStream'] extends true ? AsyncIterable<RequestOf<M>> : RequestOf<M>;

/** A definition with its handlers, types erased: what a transport needs. */
export interface GrpcService {
  readonly fullName: string;
  readonly methods: readonly GrpcMethod[];
}

export interface GrpcMethod {
  /** `/package.Service/Method` */
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly request: Codec<unknown>;
  readonly response: Codec<unknown>;
  readonly handle: (request: unknown, call: CallContext) => Promise<unknown> | AsyncIterable<unknown>;
  /** Of a unary method whose calls are worth no promise each: taken in place of `handle` by a transport that has such a path (libs/wire). */
  readonly hot?: HotMethod;
}

/**
 * Guarded like all methods, with the same errors at the caller; span and metrics are its own affair. Each call is answered once, by
 * `replies.ok...` or `refuse`.
 */
export type HotMethod = (replies: HotReplies, refuse: (reply: ReplyHandle, error: AppError) => void) => HotUnaryHandler;

/** Hand-made codecs for hot messages, in place of the generated ones. */
export type CodecOverrides<D extends ServiceDefinition> = {
  readonly [M in keyof D['methods']]?: {
    readonly request?: Codec<RequestOf<D['methods'][M]>>;
    readonly response?: Codec<ResponseOf<D['methods'][M]>>;
  };
};

/** Joins a definition with its implementation. */
export function bindGrpc<D extends ServiceDefinition>(
  definition: D,
  implementation: Implementation<D>,
  codecs: CodecOverrides<D> = {},
): GrpcService {
  const methods = Object.entries(definition.methods).map(([name, method]): GrpcMethod => {
    const handler = implementation[name as keyof D['methods']] as GrpcMethod['handle'];
    return {
      ...erase(definition, name, codecs),
      requestStream: method.requestStream,
      responseStream: method.responseStream,
      handle: (request, call) => handler.call(implementation, request, call),
    };
  });
  return { fullName: definition.fullName, methods };
}

/** Path and codecs of one method, for servers and clients alike. */
export function erase<D extends ServiceDefinition>(
  definition: D,
  name: string,
  codecs: CodecOverrides<D>,
): Pick<GrpcMethod, 'path' | 'request' | 'response'> {
  const method = definition.methods[name]!;
  const own = codecs[name as keyof D['methods']] as { request?: Codec<unknown>; response?: Codec<unknown> } | undefined;
  return {
    path: `/${definition.fullName}/${method.name}`,
    request: own?.request ?? generatedCodec(method.requestType),
    response: own?.response ?? generatedCodec(method.responseType),
  };
}

function generatedCodec(type: MessageType): Codec<unknown> {
  return { decode: (bytes) => type.decode(bytes), encode: (message) => type.encode(message as never).finish() };
}
