import { AppError } from '@headrace/base/errors';
import { parsePeerAddress } from '@headrace/base/peer-address';
import { channelCredentials } from '@headrace/wire/grpc-js-credentials';
import type { LiveTlsMaterial } from '@headrace/wire/tls-material';
import { Client as GrpcJsClient, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import {
  erase,
  type CodecOverrides,
  type MethodDefinition,
  type RequestOf,
  type ResponseOf,
  type ServiceDefinition,
} from './definition.js';
import { fromStatus } from './status.js';

export interface CallOptions {
  /** Default: the client's. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly traceparent?: string;
}

/** Fields of a request that are not given take proto3 defaults. */
type Partially<T> = T extends readonly (infer U)[]
  ? readonly Partially<U>[]
  : T extends Date | Uint8Array
    ? T
    : T extends object
      ? { readonly [P in keyof T]?: Partially<T[P]> | undefined }
      : T;

/** One promise-returning function for each unary RPC. */
export type Client<D extends ServiceDefinition> = {
  readonly [
    M in keyof D['methods'] as D['methods'][M]['requestStream'] extends true
      ? never
      : D['methods'][M]['responseStream'] extends true
        ? never
        : M
  ]: (request: Partially<RequestOf<D['methods'][M]>>, options?: CallOptions) => Promise<ResponseOf<D['methods'][M]>>;
} & { close(): void };

export interface ClientOptions<D extends ServiceDefinition> {
  readonly apiKey?: string;
  /** Every call has a deadline. Default 10 s. */
  readonly defaultTimeoutMs?: number;
  readonly codecs?: CodecOverrides<D>;
  /** For `https://` addresses: whom to trust, and what to show. Default: the authorities that Node trusts. */
  readonly tls?: LiveTlsMaterial | undefined;
}

/** Retries at the transport, only where the server cannot have begun the work: UNAVAILABLE, four tries, backoff with jitter. */
const SERVICE_CONFIG = JSON.stringify({
  methodConfig: [
    {
      name: [{}],
      retryPolicy: {
        maxAttempts: 4,
        initialBackoff: '0.1s',
        maxBackoff: '2s',
        backoffMultiplier: 2,
        retryableStatusCodes: ['UNAVAILABLE'],
      },
    },
  ],
});

/** @param address `host:port`, or `https://host:port` for TLS. Errors arrive as the AppError that the server threw, with the same code. */
export function createClient<D extends ServiceDefinition>(definition: D, address: string, options: ClientOptions<D> = {}): Client<D> {
  const { target, isTls } = parsePeerAddress(address);
  const channel = new GrpcJsClient(target, isTls ? channelCredentials(target, options.tls) : credentials.createInsecure(), {
    'grpc.service_config': SERVICE_CONFIG,
    'grpc.max_receive_message_length': 64 * 1024 * 1024,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 2000,
  });
  const client: Record<string, unknown> = { close: () => channel.close() };
  for (const [name, method] of Object.entries(definition.methods)) {
    if (method.requestStream || method.responseStream) continue;
    const { path, request, response } = erase(definition, name, options.codecs ?? {});
    const complete = (message: unknown): unknown => completeMessage(method, message);
    client[name] = (message: unknown, call: CallOptions = {}) =>
      new Promise((resolve, reject) => {
        if (call.signal?.aborted) return reject(new AppError('CANCELLED', `${path}: cancelled before it was sent`));
        const metadata = new Metadata();
        if (options.apiKey) metadata.set('authorization', `Bearer ${options.apiKey}`);
        if (call.traceparent) metadata.set('traceparent', call.traceparent);
        const deadline = Date.now() + (call.timeoutMs ?? options.defaultTimeoutMs ?? 10_000);
        const onAbort = (): void => sent.cancel();
        const sent = channel.makeUnaryRequest(
          path,
          (value: unknown) => Buffer.from(request.encode(value)),
          (bytes: Buffer) => response.decode(bytes),
          complete(message),
          metadata,
          { deadline },
          (error: ServiceError | null, value: unknown) => {
            call.signal?.removeEventListener('abort', onAbort);
            if (error) reject(fromStatus(error, path));
            else resolve(value);
          },
        );
        call.signal?.addEventListener('abort', onAbort, { once: true });
      });
  }
  return client as Client<D>;
}

function completeMessage(method: MethodDefinition, message: unknown): unknown {
  const type = method.requestType as MethodDefinition['requestType'] & { fromPartial?: (message: unknown) => unknown };
  return type.fromPartial ? type.fromPartial(message) : message;
}
