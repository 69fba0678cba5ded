import { status as Status, type ServiceError } from '@grpc/grpc-js';
import { AppError, ERROR_CODES, type ErrorCode } from '@headrace/base/errors';
import { DELIMITED, ProtoReader } from '@headrace/codec/reader';

const ERROR_INFO = 'type.googleapis.com/google.rpc.ErrorInfo';

/** A gRPC status -> the AppError that the server threw, by the ErrorInfo in its details; else the nearest code. */
export function fromStatus(error: ServiceError): AppError {
  const info = readErrorInfo(error.metadata?.get('grpc-status-details-bin')[0]);
  const code = info && Object.hasOwn(ERROR_CODES, info.reason) ? (info.reason as ErrorCode) : (NEAREST[error.code] ?? 'INTERNAL');
  return new AppError(code, error.details || error.message, { details: info?.details ?? {}, cause: error });
}

const NEAREST: Readonly<Partial<Record<number, ErrorCode>>> = {
  [Status.CANCELLED]: 'CANCELLED',
  [Status.INVALID_ARGUMENT]: 'REQUEST_INVALID',
  [Status.DEADLINE_EXCEEDED]: 'DEADLINE_EXCEEDED',
  [Status.NOT_FOUND]: 'NOT_FOUND',
  [Status.PERMISSION_DENIED]: 'PERMISSION_DENIED',
  [Status.RESOURCE_EXHAUSTED]: 'OVERLOADED',
  [Status.UNIMPLEMENTED]: 'NOT_FOUND',
  [Status.UNAVAILABLE]: 'DEPENDENCY_UNAVAILABLE',
  [Status.UNAUTHENTICATED]: 'UNAUTHENTICATED',
};

interface ErrorInfo {
  readonly reason: string;
  readonly details: Record<string, string>;
}

// google.rpc.Status { repeated Any details = 3 }  Any { string type_url = 1; bytes value = 2 }
// ErrorInfo { string reason = 1; map<string, string> metadata = 3 }
function readErrorInfo(bytes: unknown): ErrorInfo | undefined {
  if (!(bytes instanceof Uint8Array)) return undefined;
  try {
    for (const any of fieldsOf(bytes).get(3) ?? []) {
      const parts = fieldsOf(any);
      if (textOf(parts.get(1)) !== ERROR_INFO) continue;
      const info = fieldsOf(parts.get(2)?.[0] ?? new Uint8Array());
      const details = (info.get(3) ?? [])
        .map((entry) => fieldsOf(entry))
        .map((entry) => [textOf(entry.get(1)), textOf(entry.get(2))] as const);
      return { reason: textOf(info.get(1)), details: Object.fromEntries(details) };
    }
  } catch (error) {
    // Broken details of a foreign server must not hide its status.
    if (!(error instanceof AppError)) throw error;
  }
  return undefined;
}

/** Delimited fields by number. */
function fieldsOf(bytes: Uint8Array): Map<number, Uint8Array[]> {
  const fields = new Map<number, Uint8Array[]>();
  const reader = new ProtoReader(bytes);
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if ((tag & 7) !== DELIMITED) reader.skip(tag);
    else fields.set(tag >>> 3, [...(fields.get(tag >>> 3) ?? []), reader.view()]);
  }
  return fields;
}

function textOf(parts: readonly Uint8Array[] | undefined): string {
  return Buffer.from(parts?.[0] ?? new Uint8Array()).toString('utf8');
}
