import { AppError, ERROR_CODES, toAppError, type ErrorCode, type ErrorKind } from '@headrace/base/errors';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { Metadata, status as Status, type ServiceError, type StatusObject } from '@grpc/grpc-js';
import { lengthDelimited, textOf } from './proto-fields.js';

/** The one table: kind of error -> canonical gRPC status. */
export const GRPC_STATUS: Readonly<Record<ErrorKind, number>> = {
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

const DETAILS = 'grpc-status-details-bin';
const ERROR_INFO = 'type.googleapis.com/google.rpc.ErrorInfo';
const DOMAIN = 'headrace.dev';

/** Anything thrown -> what the caller gets: status, message, and google.rpc.Status with ErrorInfo(reason = our code). */
export function toStatus(thrown: unknown): StatusObject {
  const error = toAppError(thrown);
  const code = GRPC_STATUS[ERROR_CODES[error.code].kind];
  const metadata = new Metadata();
  metadata.set(DETAILS, Buffer.from(encodeStatus(code, error)));
  return { code, details: error.message, metadata };
}

/** The other way round, in a client: the same code and message come out. */
export function fromStatus(error: ServiceError, method: string): AppError {
  const details = error.metadata?.get(DETAILS)[0];
  const info = details instanceof Buffer ? decodeErrorInfo(details) : undefined;
  const code = info && Object.hasOwn(ERROR_CODES, info.reason) ? (info.reason as ErrorCode) : (CODE_OF_STATUS[error.code] ?? 'INTERNAL');
  return new AppError(code, info ? error.details : `${method}: ${error.details}`, { details: info?.metadata ?? {}, cause: error });
}

/** For peers that send no ErrorInfo. */
const CODE_OF_STATUS: Readonly<Partial<Record<number, ErrorCode>>> = {
  [Status.UNAVAILABLE]: 'DEPENDENCY_UNAVAILABLE',
  [Status.DEADLINE_EXCEEDED]: 'DEADLINE_EXCEEDED',
  [Status.CANCELLED]: 'CANCELLED',
  [Status.UNAUTHENTICATED]: 'UNAUTHENTICATED',
  [Status.PERMISSION_DENIED]: 'PERMISSION_DENIED',
  [Status.NOT_FOUND]: 'NOT_FOUND',
  [Status.UNIMPLEMENTED]: 'NOT_FOUND',
  [Status.INVALID_ARGUMENT]: 'REQUEST_INVALID',
  [Status.RESOURCE_EXHAUSTED]: 'OVERLOADED',
};

// google.rpc.Status { int32 code = 1; string message = 2; repeated Any details = 3; }  Any { string type_url = 1; bytes value = 2; }
// google.rpc.ErrorInfo { string reason = 1; string domain = 2; map<string,string> metadata = 3; }
function encodeStatus(code: number, error: AppError): Uint8Array {
  const info = new BinaryWriter().uint32(10).string(error.code).uint32(18).string(DOMAIN);
  for (const [name, value] of Object.entries(error.details)) info.uint32(26).fork().uint32(10).string(name).uint32(18).string(value).join();
  const status = new BinaryWriter().uint32(8).int32(code).uint32(18).string(error.message);
  status.uint32(26).fork().uint32(10).string(ERROR_INFO).uint32(18).bytes(info.finish()).join();
  return status.finish();
}

interface ErrorInfo {
  readonly reason: string;
  readonly metadata: Record<string, string>;
}

function decodeErrorInfo(bytes: Uint8Array): ErrorInfo | undefined {
  try {
    for (const detail of lengthDelimited(bytes).filter((f) => f.number === 3)) {
      const any = lengthDelimited(detail.bytes);
      if (textOf(any, 1) !== ERROR_INFO) continue;
      const info = lengthDelimited(any.find((f) => f.number === 2)?.bytes ?? new Uint8Array());
      const metadata = Object.fromEntries(info.filter((f) => f.number === 3).map((f) => [textOf(lengthDelimited(f.bytes), 1), textOf(lengthDelimited(f.bytes), 2)]));
      return { reason: textOf(info, 1), metadata };
    }
  } catch {
    // A peer's broken details must not hide its status: the caller still gets code and message.
  }
  return undefined;
}
