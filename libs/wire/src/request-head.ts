import { faultOfRequest, valueOf } from './header-rules.js';
import type { HeaderFields } from './hpack-decoder.js';
import { GrpcError, Status } from './status.js';

/** A handler that makes up its names must not fill the memory. */
const ASKED_MAX = 8;

/**
 * What the header block of a request means. Immutable, since the cache gives the same head to all requests with the same bytes; `Method` is
 * what the server registered under the path.
 */
export interface RequestHead<Method> {
  readonly path: string;
  /** Undefined when `refusal` says why the call is not handled. */
  readonly method: Method | undefined;
  readonly refusal: Refusal | undefined;
  /** From grpc-timeout; Infinity when there is none. */
  readonly timeoutMs: number;
  readonly acceptsGzip: boolean;
  readonly clientAcceptsGzip: boolean;
  /** -1 when the request does not say. */
  readonly contentLength: number;
  readonly names: readonly string[];
  readonly values: readonly string[];
  /** What handlers asked for, of all calls with this head. */
  readonly asked: AskedHeaders;
}

export type Refusal =
  | { readonly kind: 'malformed'; readonly fault: string }
  | { readonly kind: 'http'; readonly status: string; readonly text: string }
  | { readonly kind: 'grpc'; readonly error: GrpcError };

export function readRequestHead<Method>(fields: HeaderFields, findMethod: (path: string) => Method | undefined): RequestHead<Method> {
  const names = fields.names.slice(0, fields.count);
  const values = fields.values.slice(0, fields.count);
  const path = valueOf(fields, ':path') ?? '';
  const refuse = (refusal: Refusal): RequestHead<Method> => ({
    path,
    method: undefined,
    refusal,
    timeoutMs: Infinity,
    acceptsGzip: false,
    clientAcceptsGzip: false,
    contentLength: contentLengthOf(fields) ?? -1,
    names,
    values,
    asked: new AskedHeaders(),
  });
  if (fields.tooLarge)
    return refuse({
      kind: 'grpc',
      error: new GrpcError(
        Status.RESOURCE_EXHAUSTED,
        `The metadata of ${fields.listBytes} bytes is above the limit of ${fields.listBytesMax}.`,
      ),
    });
  const fault = faultOfRequest(fields) ?? (contentLengthOf(fields) === undefined ? 'content-length that is no number' : undefined);
  if (fault !== undefined) return refuse({ kind: 'malformed', fault });
  if (valueOf(fields, ':method') !== 'POST')
    return refuse({
      kind: 'http',
      status: '405',
      text: 'This is a gRPC server: calls are POST requests with content-type application/grpc.\n',
    });
  if (!GRPC_CONTENT.test(valueOf(fields, 'content-type') ?? ''))
    return refuse({ kind: 'http', status: '415', text: 'This is a gRPC server: the content-type must be application/grpc.\n' });
  const timeout = valueOf(fields, 'grpc-timeout');
  const timeoutMs = timeout === undefined ? Infinity : timeoutMsOf(timeout);
  if (timeoutMs === undefined)
    return refuse({
      kind: 'grpc',
      error: new GrpcError(Status.INTERNAL, 'The grpc-timeout is malformed: up to eight digits and one of H, M, S, m, u, n.'),
    });
  const encoding = valueOf(fields, 'grpc-encoding') ?? 'identity';
  if (encoding !== 'gzip' && encoding !== 'identity')
    return refuse({
      kind: 'grpc',
      error: new GrpcError(Status.UNIMPLEMENTED, `The compression ${JSON.stringify(encoding)} is not supported; use gzip or identity.`),
    });
  const method = findMethod(path);
  if (method === undefined) return refuse({ kind: 'grpc', error: new GrpcError(Status.UNIMPLEMENTED, `There is no method ${path} here.`) });
  const clientAcceptsGzip = (valueOf(fields, 'grpc-accept-encoding') ?? '').split(',').some((name) => name.trim() === 'gzip');
  return {
    path,
    method,
    refusal: undefined,
    timeoutMs,
    acceptsGzip: encoding === 'gzip',
    clientAcceptsGzip,
    contentLength: contentLengthOf(fields) ?? -1,
    names,
    values,
    asked: new AskedHeaders(),
  };
}

/**
 * Headers by name for handlers that ask each call for the same few. Names as they come from the wire are compared letter by letter; the names of a handler
 * are constants, and found again by what they are: four lookups were 2 % of a small Predict (measured).
 */
export class AskedHeaders {
  private readonly names: string[] = [];
  private readonly values: (string | undefined)[] = [];

  valueOf(name: string, head: Pick<RequestHead<unknown>, 'names' | 'values'>): string | undefined {
    const { names } = this;
    for (let i = 0; i < names.length; i++) if (names[i] === name) return this.values[i];
    const value = head.values[head.names.indexOf(name)];
    if (names.length < ASKED_MAX) {
      names.push(name);
      this.values.push(value);
    }
    return value;
  }
}

/** Milliseconds, possibly fractional, or undefined when the text is malformed (PROTOCOL-HTTP2.md, "Timeout"). */
export function timeoutMsOf(text: string): number | undefined {
  const match = /^([0-9]{1,8})([HMSmun])$/.exec(text);
  return match === null ? undefined : Number(match[1]) * UNIT_MS[match[2]!]!;
}

/** The shortest exact-enough form: at most eight digits, rounded up, so that the server never gives up before the client. */
export function timeoutText(timeoutMs: number): string {
  if (timeoutMs < 100_000) return `${Math.max(0, Math.ceil(timeoutMs * 1000))}u`;
  if (timeoutMs < 100_000_000) return `${Math.ceil(timeoutMs)}m`;
  return `${Math.min(99_999_999, Math.ceil(timeoutMs / 1000))}S`;
}

function contentLengthOf(fields: HeaderFields): number | undefined {
  const text = valueOf(fields, 'content-length');
  if (text === undefined) return -1;
  return /^[0-9]{1,15}$/.test(text) ? Number(text) : undefined;
}

const GRPC_CONTENT = /^application\/grpc(\+proto)?(;|$)/;
const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };
