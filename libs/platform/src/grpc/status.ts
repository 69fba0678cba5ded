import { AppError, ERROR_CODES, toAppError, type ErrorCode } from '@headrace/base/errors';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { Metadata, status as Status, type ServiceError, type StatusObject } from '@grpc/grpc-js';
import { STATUS_OF_KIND, type StatusCode } from '@headrace/wire/status';
import { lengthDelimited, textOf } from './proto-fields.js';

const DETAILS = 'grpc-status-details-bin';
const ERROR_INFO = 'type.googleapis.com/google.rpc.ErrorInfo';
const DOMAIN = 'headrace.dev';

/** Anything thrown -> what the caller gets: status, message, and a serialized google.rpc.Status with ErrorInfo(reason = our code). */
export function statusOf(thrown: unknown): { readonly code: StatusCode; readonly message: string; readonly details: Uint8Array } {
  const error = toAppError(thrown);
  const code = STATUS_OF_KIND[ERROR_CODES[error.code].kind];
  return { code, message: error.message, details: encodeStatus(code, error) };
}

/** The same in the form of grpc-js. */
export function toStatus(thrown: unknown): StatusObject {
  const { code, message, details } = statusOf(thrown);
  const metadata = new Metadata();
  metadata.set(DETAILS, Buffer.from(details));
  return { code, details: message, metadata };
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
      const metadata = Object.fromEntries(
        info.filter((f) => f.number === 3).map((f) => [textOf(lengthDelimited(f.bytes), 1), textOf(lengthDelimited(f.bytes), 2)]),
      );
      return { reason: textOf(info, 1), metadata };
    }
  } catch {
    // A peer's broken details must not hide its status: the caller still gets code and message.
  }
  return undefined;
}
