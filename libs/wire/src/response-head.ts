import { faultOfResponse, faultOfTrailers, valueOf } from './header-rules.js';
import type { HeaderFields } from './hpack-decoder.js';
import { Metadata } from './metadata.js';
import { decodeStatusMessage, GrpcError, Status, statusFromNumber, statusOfHttp } from './status.js';

/** What a header block from a server means: response headers, trailers, or both in one. Immutable, since equal bytes share one. */
export interface ResponseHead {
  /** Set when the block breaks HTTP/2. */
  readonly fault: string | undefined;
  /** 1xx, to be skipped. */
  readonly informational: boolean;
  /** Set when the answer is no gRPC: the call ends with it unless trailers bring a status. */
  readonly httpError: GrpcError | undefined;
  /** From grpc-status: undefined when the block has none, null for OK, else the failure. */
  readonly status: GrpcError | null | undefined;
  readonly gzip: boolean;
  readonly names: readonly string[];
  readonly values: readonly string[];
}

export function readResponseHead(fields: HeaderFields, isTrailers: boolean): ResponseHead {
  const names = fields.names.slice(0, fields.count);
  const values = fields.values.slice(0, fields.count);
  const http = valueOf(fields, ':status') ?? '';
  const status = statusOf(fields, names, values);
  return {
    fault: fields.tooLarge ? 'a header list above the limit' : isTrailers ? faultOfTrailers(fields) : faultOfResponse(fields),
    informational: !isTrailers && http.startsWith('1'),
    httpError: isTrailers || status !== undefined ? undefined : httpErrorOf(http, valueOf(fields, 'content-type') ?? ''),
    status,
    gzip: valueOf(fields, 'grpc-encoding') === 'gzip',
    names,
    values,
  };
}

export function metadataOfHead(head: ResponseHead): Metadata {
  return Metadata.fromFields(head.names, head.values, head.names.length);
}

function httpErrorOf(http: string, contentType: string): GrpcError | undefined {
  if (http !== '200') return new GrpcError(statusOfHttp(http), `The answer is HTTP status ${http} and not gRPC.`);
  return contentType.startsWith('application/grpc')
    ? undefined
    : new GrpcError(Status.UNKNOWN, `The answer is ${JSON.stringify(contentType)} and not gRPC.`);
}

function statusOf(fields: HeaderFields, names: readonly string[], values: readonly string[]): GrpcError | null | undefined {
  const text = valueOf(fields, 'grpc-status');
  if (text === undefined) return undefined;
  const code = statusFromNumber(/^[0-9]+$/.test(text) ? Number(text) : NaN);
  if (code === Status.OK) return null;
  const details = valueOf(fields, 'grpc-status-details-bin');
  return new GrpcError(code, decodeStatusMessage(valueOf(fields, 'grpc-message') ?? ''), {
    details: details === undefined ? undefined : Buffer.from(details, 'base64'),
    metadata: Metadata.fromFields(names, values, names.length),
  });
}
