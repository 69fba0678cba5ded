import { AppError, ERROR_CODES } from '@headrace/base/errors';
import type { ErrorKind } from '@headrace/base/errors';
import type { Metadata } from './metadata.js';

/** The canonical gRPC statuses (grpc.github.io/grpc/core/md_doc_statuscodes.html). */
export const Status = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

export type StatusName = keyof typeof Status;
export type StatusCode = (typeof Status)[StatusName];

export const STATUS_NAMES: readonly StatusName[] = Object.keys(Status) as StatusName[];

/** A call that ended with a status other than OK, on either side. Handlers may throw it; `AppError` is translated by its kind. */
export class GrpcError extends Error {
  override readonly name = 'GrpcError';
  readonly code: StatusCode;
  /** Serialized `google.rpc.Status`, carried as `grpc-status-details-bin`. */
  readonly details: Uint8Array | undefined;
  readonly metadata: Metadata | undefined;

  constructor(
    code: StatusCode,
    message: string,
    options: { details?: Uint8Array | undefined; metadata?: Metadata | undefined; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details;
    this.metadata = options.metadata;
  }
}

/** Anything that a handler threw -> the status that its caller sees. Unknown errors say nothing about our insides. */
export function toGrpcError(thrown: unknown): GrpcError {
  if (thrown instanceof GrpcError) return thrown;
  if (thrown instanceof AppError) return new GrpcError(STATUS_OF_KIND[ERROR_CODES[thrown.code].kind], thrown.message, { cause: thrown });
  return new GrpcError(Status.INTERNAL, 'Internal error; the log of the server holds the cause.', { cause: thrown });
}

/** A number from the wire; what lies outside the list counts as UNKNOWN, as the gRPC protocol demands. */
export function statusFromNumber(code: number): StatusCode {
  return Number.isInteger(code) && code >= 0 && code <= 16 ? (code as StatusCode) : Status.UNKNOWN;
}

/** When an HTTP/2 stream is reset without trailers (PROTOCOL-HTTP2.md, "Errors"). */
export function statusOfReset(errorCode: number): StatusCode {
  if (errorCode === 7) return Status.UNAVAILABLE;
  if (errorCode === 8) return Status.CANCELLED;
  if (errorCode === 11) return Status.RESOURCE_EXHAUSTED;
  return errorCode === 12 ? Status.PERMISSION_DENIED : Status.INTERNAL;
}

/** When an answer without `grpc-status` came, probably from a proxy (http-grpc-status-mapping.md). */
export function statusOfHttp(httpStatus: string): StatusCode {
  return STATUS_OF_HTTP[httpStatus] ?? Status.UNKNOWN;
}

/** `grpc-message` is percent-encoded UTF-8: everything outside printable ASCII, and the percent sign itself. */
export function encodeStatusMessage(message: string): string {
  if (/^[ -$&-~]*$/.test(message)) return message;
  let encoded = '';
  for (const byte of Buffer.from(message, 'utf8')) {
    encoded +=
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25 ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

/** Never fails: a broken escape stays as it is, broken UTF-8 becomes U+FFFD, as the protocol asks. */
export function decodeStatusMessage(encoded: string): string {
  if (!encoded.includes('%')) return encoded;
  const bytes: number[] = [];
  for (let i = 0; i < encoded.length; i++) {
    const escape = encoded[i] === '%' ? /^%[0-9A-Fa-f]{2}/.exec(encoded.slice(i, i + 3)) : null;
    if (escape) {
      bytes.push(parseInt(encoded.slice(i + 1, i + 3), 16));
      i += 2;
    } else bytes.push(encoded.charCodeAt(i) & 0xff);
  }
  return Buffer.from(bytes).toString('utf8');
}

/** The one table that turns our error kinds into gRPC statuses. */
export const STATUS_OF_KIND: Readonly<Record<ErrorKind, StatusCode>> = {
  INVALID_ARGUMENT: Status.INVALID_ARGUMENT,
  NOT_FOUND: Status.NOT_FOUND,
  ALREADY_EXISTS: Status.ALREADY_EXISTS,
  FAILED_PRECONDITION: Status.FAILED_PRECONDITION,
  RESOURCE_EXHAUSTED: Status.RESOURCE_EXHAUSTED,
  UNAVAILABLE: Status.UNAVAILABLE,
  DEADLINE_EXCEEDED: Status.DEADLINE_EXCEEDED,
  CANCELLED: Status.CANCELLED,
  UNAUTHENTICATED: Status.UNAUTHENTICATED,
  PERMISSION_DENIED: Status.PERMISSION_DENIED,
  DATA_LOSS: Status.DATA_LOSS,
  INTERNAL: Status.INTERNAL,
};

const STATUS_OF_HTTP: Readonly<Record<string, StatusCode>> = {
  '400': Status.INTERNAL,
  '401': Status.UNAUTHENTICATED,
  '403': Status.PERMISSION_DENIED,
  '404': Status.UNIMPLEMENTED,
  '429': Status.UNAVAILABLE,
  '502': Status.UNAVAILABLE,
  '503': Status.UNAVAILABLE,
  '504': Status.UNAVAILABLE,
};
