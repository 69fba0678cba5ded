import { Client as GrpcClient, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { AppError } from '@headrace/base/errors';
import { parsePeerAddress } from '@headrace/base/peer-address';
import { encodePredictRequest } from '@headrace/codec/predict-request';
import type { ReadOutputColumn } from '@headrace/codec/predict-output';
import { decodePredictResponse } from '@headrace/codec/predict-response';
import { ProtoWriter } from '@headrace/codec/writer';
import { channelCredentials } from '@headrace/wire/grpc-js-credentials';
import { LiveTlsMaterial, type TlsMaterial } from '@headrace/wire/tls-material';
import { fromStatus } from './status.js';

export interface ClientOptions {
  /** `host:port` of serving's gRPC door, or `https://host:port` where it speaks TLS. */
  readonly address: string;
  /** For `https://`: whom to trust (`ca`; default: the authorities that Node trusts), and our own certificate (`cert`, `key`) where the door asks for one. */
  readonly tls?: TlsMaterial;
  readonly apiKey?: string;
  /** Default `default`. */
  readonly project?: string;
  /** Longest wait of a call, ms; it travels to the server as the deadline. Default 1,000. */
  readonly timeoutMs?: number;
}

/**
 * Rows to predict: by entity, by columns, as dense rows, or a mixture in which columns win over dense values and those over what
 * is looked up. NaN is a missing number, '' a missing text.
 */
export interface PredictInput {
  readonly model: string;
  /** Default: the champion. */
  readonly version?: number;
  /** One key a row; the keys of an entity with several are joined by `|` in the order of the signature. */
  readonly entities?: readonly string[];
  readonly columns?: Readonly<Record<string, readonly number[] | Float32Array | readonly string[]>>;
  /** Rows of numbers in the order of the signature; a Float32Array holds them one behind the other. */
  readonly dense?: Float32Array | readonly (readonly number[])[];
  /** Makes a retry recognisable in the prediction log; default: the server makes one. */
  readonly predictionId?: string;
  /** Who is let in when the server has little room; low is refused first. Default: normal. */
  readonly priority?: 'low' | 'normal' | 'high';
  /** Further outputs of the graph, by name; they come back in `Prediction.outputs`. */
  readonly outputs?: readonly string[];
}

export interface CallOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** W3C trace context; its trace id stands beside the prediction in the log. */
  readonly traceparent?: string;
  /** What has the same key gets the same version while a canary or a split is on; default: the first entity, else the prediction id. */
  readonly routingKey?: string;
}

export interface Prediction {
  readonly model: string;
  readonly version: number;
  /** Why this version answered: champion, pinned, ... */
  readonly arm: string;
  readonly predictionId: string;
  readonly rows: readonly PredictedRow[];
  /** What `outputs` asked for, by name. */
  readonly outputs: Readonly<Record<string, OutputValues>>;
}

/** One output of the graph for all rows. */
export interface OutputValues {
  /** Sizes of the values of one row; empty = one value. */
  readonly shape: readonly number[];
  /** Row after row. */
  readonly values: ArrayLike<number> | readonly string[];
}

export interface PredictedRow {
  /** What outcomes refer to. */
  readonly id: string;
  readonly label: number;
  /** Probability of the positive class, or the value of a regression. */
  readonly score: number;
  /** Oldest event time among the looked-up features; undefined when nothing was looked up or found. */
  readonly featureTime: Date | undefined;
  /** At least one looked-up feature is missing or past its maximum age. */
  readonly stale: boolean;
}

const PREDICT = '/headrace.serving.v1.Prediction/Predict';
const PRIORITIES = { normal: 0, low: 1, high: 2 };
/** Tried again by the transport only where the server cannot have begun: four times at the most, with growing pauses. */
const SERVICE_CONFIG = JSON.stringify({
  methodConfig: [
    {
      name: [{}],
      retryPolicy: {
        maxAttempts: 4,
        initialBackoff: '0.05s',
        maxBackoff: '1s',
        backoffMultiplier: 2,
        retryableStatusCodes: ['UNAVAILABLE'],
      },
    },
  ],
});

/** Predictions over one multiplexed connection; make one client and share it. Errors are AppErrors with the server's code. */
export class HeadraceClient {
  readonly #options: ClientOptions;
  readonly #channel: GrpcClient;
  readonly #tls: LiveTlsMaterial | undefined;
  readonly #writer = new ProtoWriter();

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#tls = options.tls && new LiveTlsMaterial(options.tls);
    const { target, isTls } = parsePeerAddress(options.address);
    this.#channel = new GrpcClient(target, isTls ? channelCredentials(target, this.#tls) : credentials.createInsecure(), {
      'grpc.service_config': SERVICE_CONFIG,
      'grpc.max_receive_message_length': 64 * 1024 * 1024,
    });
  }

  /** @throws AppError INPUT_INVALID, MODEL_NOT_LOADED, VERSION_UNKNOWN, ENTITY_NOT_FOUND, OVERLOADED, DEADLINE_EXCEEDED, ... */
  async predict(input: PredictInput, call: CallOptions = {}): Promise<Prediction> {
    const request = this.#encode(input);
    const metadata = new Metadata();
    if (this.#options.apiKey) metadata.set('authorization', `Bearer ${this.#options.apiKey}`);
    if (call.traceparent) metadata.set('traceparent', call.traceparent);
    if (call.routingKey) metadata.set('headrace-routing-key', call.routingKey);
    const deadline = Date.now() + (call.timeoutMs ?? this.#options.timeoutMs ?? 1_000);
    return new Promise((resolve, reject) => {
      if (call.signal?.aborted) return reject(new AppError('CANCELLED', 'the call was cancelled before it was sent'));
      const onAbort = (): void => sent.cancel();
      const done = (error: ServiceError | null, prediction?: Prediction): void => {
        call.signal?.removeEventListener('abort', onAbort);
        if (error) reject(fromStatus(error));
        else resolve(prediction!);
      };
      const sent = this.#channel.makeUnaryRequest(PREDICT, toBuffer, toPrediction, request, metadata, { deadline }, done);
      call.signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Other certificates, for connections from now on; the one that stands lives on. Only for a client made with `tls`. */
  renewTls(tls: TlsMaterial): void {
    if (!this.#tls)
      throw new AppError('CONFIG_INVALID', 'this client was made without `tls`, so it has nothing to renew; make another one');
    this.#tls.renew(tls);
  }

  close(): void {
    this.#channel.close();
  }

  #encode(input: PredictInput): Uint8Array {
    const { model, version = 0, entities = [], columns = {}, dense, predictionId = '', priority = 'normal', outputs = [] } = input;
    const writer = this.#writer.reset();
    encodePredictRequest(
      {
        project: this.#options.project ?? '',
        model,
        version,
        entities,
        columns: Object.entries(columns).map(toColumn),
        dense: toDense(dense),
        predictionId,
        priority: PRIORITIES[priority],
        outputs,
      },
      writer,
    );
    return writer.finish();
  }
}

type Column = Parameters<typeof encodePredictRequest>[0]['columns'] extends readonly (infer C)[] | undefined ? C : never;

function toColumn([name, values]: [string, readonly number[] | Float32Array | readonly string[]]): Column {
  if (values instanceof Float32Array) return { name, floats: values };
  if (typeof values[0] === 'string') return { name, strings: values as readonly string[] };
  return { name, floats: Float32Array.from(values as readonly number[]) };
}

function toDense(dense: PredictInput['dense']): Float32Array {
  if (dense === undefined) return new Float32Array(0);
  if (dense instanceof Float32Array) return dense;
  const width = dense[0]?.length ?? 0;
  const ragged = dense.findIndex((row) => row.length !== width);
  if (ragged >= 0) throw new AppError('INPUT_INVALID', `row ${ragged} has ${dense[ragged]!.length} values, row 0 has ${width}`);
  return Float32Array.from(dense.flat());
}

function toPrediction(bytes: Buffer): Prediction {
  const { model, version, arm, predictionId, labels, scores, featureTimes, stale, outputs } = decodePredictResponse(bytes);
  const rows = labels.map((label, i): PredictedRow => {
    const featureTime = featureTimes[i];
    return {
      id: labels.length === 1 ? predictionId : `${predictionId}/${i}`,
      label,
      score: scores[i]!,
      featureTime: featureTime ? new Date(featureTime) : undefined,
      stale: stale[i] ?? false,
    };
  });
  return { model, version, arm, predictionId, rows, outputs: Object.fromEntries(outputs.map((output) => [output.name, toValues(output)])) };
}

function toValues({ shape, floats, doubles, ints, strings }: ReadOutputColumn): OutputValues {
  return { shape, values: [floats, doubles, ints, strings].find((list) => list.length > 0) ?? [] };
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
