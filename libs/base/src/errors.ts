/**
 * The one error type of the platform. `code` is from a closed list, so that callers can switch on it, the doors can map it
 * to a gRPC status or an HTTP status in one table, and the reference page can list every one. The message is for a person:
 * what happened, to which id, what to do.
 */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ErrorCode;
  /** Machine-readable facts (ids, limits); they travel to the caller, so never put secrets or internals here. */
  readonly details: Readonly<Record<string, string>>;

  constructor(code: ErrorCode, message: string, options: { details?: Readonly<Record<string, string>>; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }
}

/** Kind of refusal; the doors translate kinds, never single codes. Names follow the canonical gRPC statuses. */
export type ErrorKind =
  | 'INVALID_ARGUMENT'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'FAILED_PRECONDITION'
  | 'RESOURCE_EXHAUSTED'
  | 'UNAVAILABLE'
  | 'DEADLINE_EXCEEDED'
  | 'CANCELLED'
  | 'UNAUTHENTICATED'
  | 'PERMISSION_DENIED'
  | 'DATA_LOSS'
  | 'INTERNAL';

/** The closed list: code -> kind and what a user does about it. The reference page is generated from this table. */
export const ERROR_CODES = {
  // Definitions and configuration
  CONFIG_INVALID: { kind: 'INVALID_ARGUMENT', fix: 'Correct the keys that the message names; docs/reference/configuration.md lists all.' },
  DEFINITION_INVALID: { kind: 'INVALID_ARGUMENT', fix: 'Correct the field that the message names and apply again.' },
  DEFINITION_CONFLICT: {
    kind: 'FAILED_PRECONDITION',
    fix: 'Give the changed definition a new name, or remove what uses the old one first.',
  },
  // Features
  VIEW_UNKNOWN: { kind: 'NOT_FOUND', fix: 'Apply the feature view first (`headrace apply`), or correct its name.' },
  FEATURE_SERVICE_UNKNOWN: { kind: 'NOT_FOUND', fix: 'Apply the feature service first (`headrace apply`), or correct its name.' },
  ENTITY_UNKNOWN: { kind: 'NOT_FOUND', fix: 'Apply the entity first, or correct its name.' },
  EVENT_MALFORMED: {
    kind: 'INVALID_ARGUMENT',
    fix: 'Send the documented JSON or protobuf form of the topic with the matching content-type header.',
  },
  ROW_INVALID: { kind: 'INVALID_ARGUMENT', fix: 'Correct the row as the reason says and publish it again.' },
  ROW_FUTURE_DATED: {
    kind: 'INVALID_ARGUMENT',
    fix: 'Event time lies ahead of the clock by more than the allowed skew; correct the producer clock.',
  },
  ENTITY_ERASED: {
    kind: 'FAILED_PRECONDITION',
    fix: 'The entity was erased, and the row is of a time before that; nothing is kept of it. Rows of a later event time are taken.',
  },
  ERASURE_UNKNOWN: { kind: 'NOT_FOUND', fix: 'List the erasures and correct the id.' },
  MESSAGE_TOO_LARGE: { kind: 'RESOURCE_EXHAUSTED', fix: 'Split the batch below the limit that the message names.' },
  TRAINING_SET_EMPTY: { kind: 'FAILED_PRECONDITION', fix: 'No label row lies in the window; widen it or publish labels.' },
  JOIN_UNKNOWN: { kind: 'NOT_FOUND', fix: 'List the point-in-time joins and correct the id.' },
  JOIN_STATE_ILLEGAL: {
    kind: 'FAILED_PRECONDITION',
    fix: 'A join that has ended cannot be cancelled; one that has not cannot be restarted.',
  },
  TRAINING_SET_UNKNOWN: { kind: 'NOT_FOUND', fix: 'Build the training set first, or correct its hash.' },
  QUARANTINED_ROW_UNKNOWN: { kind: 'NOT_FOUND', fix: 'List the quarantine and correct the id; the row may have been replayed meanwhile.' },
  BACKFILL_UNKNOWN: { kind: 'NOT_FOUND', fix: 'List the backfills and correct the id.' },
  // Models and versions
  MODEL_UNKNOWN: { kind: 'NOT_FOUND', fix: 'Apply the model definition first, or correct its name.' },
  VERSION_UNKNOWN: { kind: 'NOT_FOUND', fix: 'List the versions of the model and correct the number.' },
  VERSION_NOT_BLESSED: {
    kind: 'FAILED_PRECONDITION',
    fix: 'Only a blessed version may serve; read its blessing to see which gate refused it.',
  },
  VERSION_STATE_ILLEGAL: { kind: 'FAILED_PRECONDITION', fix: 'The state machine forbids this step; read the current state first.' },
  ARTIFACT_UNKNOWN: { kind: 'NOT_FOUND', fix: 'Upload the artefact before naming it.' },
  ARTIFACT_CORRUPT: { kind: 'DATA_LOSS', fix: 'The bytes do not match their sha256; upload the artefact again.' },
  ARTIFACT_REFUSED: { kind: 'INVALID_ARGUMENT', fix: 'Only self-contained ONNX with standard operators is served.' },
  MODEL_LOAD_FAILED: { kind: 'FAILED_PRECONDITION', fix: 'The old version keeps serving; the message says which check failed.' },
  // Predict
  MODEL_NOT_LOADED: { kind: 'NOT_FOUND', fix: 'No version of this model is being served; promote one, or correct the name.' },
  ENTITY_NOT_FOUND: {
    kind: 'NOT_FOUND',
    fix: 'No online features exist for the entity; publish them, or set the missing-feature policy of the model.',
  },
  INPUT_INVALID: { kind: 'INVALID_ARGUMENT', fix: 'Send the columns, types and shape of the model signature.' },
  OVERLOADED: { kind: 'RESOURCE_EXHAUSTED', fix: 'Retry later with backoff.' },
  // Training
  RUN_UNKNOWN: { kind: 'NOT_FOUND', fix: 'List the runs and correct the id.' },
  RUN_STATE_ILLEGAL: { kind: 'FAILED_PRECONDITION', fix: 'The state machine forbids this step; read the current state first.' },
  TRAINING_FAILED: { kind: 'INTERNAL', fix: 'Read the log of the run; the message carries its last lines.' },
  PARITY_FAILED: { kind: 'DATA_LOSS', fix: 'The exported ONNX graph disagrees with the trained model; the version was not registered.' },
  // Alerts
  ALERT_UNKNOWN: { kind: 'NOT_FOUND', fix: 'List the alerts and correct the id.' },
  ALERT_STATE_ILLEGAL: { kind: 'FAILED_PRECONDITION', fix: 'The state machine forbids this step; read the current state first.' },
  // Platform
  ENGINE_MISSING: { kind: 'FAILED_PRECONDITION', fix: 'Run the one command that the message names, or set the URL of a running engine.' },
  DEPENDENCY_UNAVAILABLE: { kind: 'UNAVAILABLE', fix: 'Retry; if it lasts, look at the health page of the named dependency.' },
  DEADLINE_EXCEEDED: { kind: 'DEADLINE_EXCEEDED', fix: 'Give the call more time, or look at the latency of its dependency.' },
  CANCELLED: { kind: 'CANCELLED', fix: 'The caller cancelled; nothing to do.' },
  UNAUTHENTICATED: { kind: 'UNAUTHENTICATED', fix: 'Send a valid API key in the authorization header: `Bearer <key>`.' },
  PERMISSION_DENIED: { kind: 'PERMISSION_DENIED', fix: 'This key may not do that; ask for the permission that the message names.' },
  REQUEST_INVALID: { kind: 'INVALID_ARGUMENT', fix: 'Correct the field that the message names.' },
  NOT_FOUND: { kind: 'NOT_FOUND', fix: 'Correct the path or method name.' },
  INTERNAL: { kind: 'INTERNAL', fix: 'A defect of ours; report it with the trace id.' },
} as const satisfies Record<string, { kind: ErrorKind; fix: string }>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** Whether a text from a peer is one of our codes. */
export function isErrorCode(text: string | undefined): text is ErrorCode {
  return text !== undefined && Object.hasOwn(ERROR_CODES, text);
}

/** Anything thrown -> AppError. What is not one already is a defect of ours and says no internals to the caller. */
export function toAppError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown;
  return new AppError('INTERNAL', 'Internal error; the log holds the cause under this trace id.', { cause: thrown });
}

/** The text of anything thrown, for logs and contexts. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
