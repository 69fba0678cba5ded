import type { Decoder, Encoder, MethodKind } from './handler.js';
import type { Metadata } from './metadata.js';

/** A method from the caller's side: it writes requests and reads responses. */
export interface ClientMethod<Request, Response> {
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly kind: MethodKind;
  readonly request: Encoder<Request>;
  readonly response: Decoder<Response>;
}

export interface CallOptions {
  /** The call fails with DEADLINE_EXCEEDED after this; default none. A constant value is cheapest: its header bytes repeat. */
  readonly timeoutMs?: number;
  readonly metadata?: Metadata;
  /** Aborting it cancels the call. */
  readonly signal?: AbortSignal;
  /** Wait for a connection until the deadline, instead of failing while the last attempt to connect has failed. Default false. */
  readonly waitForReady?: boolean;
  /** Send messages as gzip. Default false. */
  readonly gzip?: boolean;
  readonly onHeaders?: (metadata: Metadata) => void;
  /** Trailers of a call that ended OK; those of a failed one are in its `GrpcError`. */
  readonly onTrailers?: (metadata: Metadata) => void;
}
