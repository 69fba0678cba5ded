import {
  PredictionDefinition,
  PredictRequest,
  PredictResponse,
  type NamedColumn,
  type OutputColumn,
} from '@headrace/contracts/serving/v1/serving';
import { parsePeerAddress } from '@headrace/base/peer-address';
import { createClient, type CallOptions } from '@headrace/platform/grpc/client';
import { WireClient } from '@headrace/wire/client';
import { Metadata } from '@headrace/wire/metadata';
import type { ClientMethod } from '@headrace/wire/client-types';

export interface PredictInput {
  readonly model: string;
  readonly version?: number;
  readonly entities?: readonly string[];
  readonly columns?: Readonly<Record<string, readonly (number | string)[]>>;
  readonly dense?: Float32Array | readonly (readonly number[])[];
  readonly predictionId?: string;
  readonly outputs?: readonly string[];
}

export interface PredictedRow {
  readonly id: string;
  readonly label: number;
  readonly score: number;
  readonly featureTime: Date | undefined;
  readonly stale: boolean;
}

export interface Predicted {
  readonly model: string;
  readonly version: number;
  readonly arm: string;
  readonly predictionId: string;
  readonly rows: readonly PredictedRow[];
  readonly outputs: readonly OutputColumn[];
}

/** One way to bring the generated messages to the service and back. */
interface Channel {
  predict(request: PredictRequest, options?: CallOptions): Promise<PredictResponse>;
  close(): void;
}

const PREDICT: ClientMethod<PredictRequest, PredictResponse> = {
  path: '/headrace.serving.v1.Prediction/Predict',
  kind: 'unary',
  request: { encode: (message, writer) => writer.raw(PredictRequest.encode(message).finish()) },
  response: { decode: (bytes, offset, length) => PredictResponse.decode(Uint8Array.prototype.slice.call(bytes, offset, offset + length)) },
};

/** Predict as a caller would, with the generated messages: an independent other side for the hot codecs of the service. */
export class PredictClient {
  readonly #channel: Channel;

  private constructor(channel: Channel) {
    this.#channel = channel;
  }

  static overGrpcJs(address: string): PredictClient {
    return new PredictClient(createClient(PredictionDefinition, address));
  }

  /** Our own client, with the same metadata on each call; its errors are GrpcErrors. @param ca authority (PEM) of a door that speaks TLS */
  static overWire(address: string, metadata: Readonly<Record<string, string>> = {}, ca?: string): PredictClient {
    const { hostname, port } = new URL(`http://${parsePeerAddress(address).target}`);
    const client = new WireClient({ host: hostname, port: Number(port), ...(ca ? { tls: { ca } } : {}) });
    return new PredictClient({
      predict: (request) => client.unary(PREDICT, request, { timeoutMs: 10_000, metadata: Metadata.of(Object.entries(metadata)) }),
      close: () => client.destroy(),
    });
  }

  async predict(
    { model, version = 0, entities = [], columns = {}, dense = [], predictionId = '', outputs = [] }: PredictInput,
    options?: CallOptions,
  ): Promise<Predicted> {
    const flat = dense instanceof Float32Array ? [...dense] : dense.flat();
    const answer = await this.#channel.predict(
      PredictRequest.fromPartial({
        model,
        version,
        entities: [...entities],
        columns: Object.entries(columns).map(toColumn),
        dense: flat,
        predictionId,
        outputs: [...outputs],
      }),
      options,
    );
    const rows = answer.labels.map((label, i) => ({
      id: answer.labels.length === 1 ? answer.predictionId : `${answer.predictionId}/${i}`,
      label,
      score: answer.scores[i]!,
      featureTime: answer.featureTimes[i] ? new Date(answer.featureTimes[i]!) : undefined,
      stale: answer.stale[i] ?? false,
    }));
    return {
      model: answer.model,
      version: answer.version,
      arm: answer.arm,
      predictionId: answer.predictionId,
      rows,
      outputs: answer.outputs,
    };
  }

  /** By wire only: the requests of one call, as they come. */
  static async *stream(address: string, requests: AsyncIterable<Partial<PredictRequest>>): AsyncIterable<PredictResponse> {
    const { hostname, port } = new URL(`http://${address}`);
    const client = new WireClient({ host: hostname, port: Number(port) });
    const method: ClientMethod<Partial<PredictRequest>, PredictResponse> = {
      ...PREDICT,
      path: `${PREDICT.path}Stream`,
      kind: 'bidi',
      request: { encode: (message, writer) => writer.raw(PredictRequest.encode(PredictRequest.fromPartial(message)).finish()) },
    };
    try {
      yield* client.bidi(method, requests, { timeoutMs: 30_000 });
    } finally {
      client.destroy();
    }
  }

  close(): void {
    this.#channel.close();
  }
}

/** Whole numbers go as `ints`, so that both lists are used. */
function toColumn([name, values]: [string, readonly (number | string)[]]): NamedColumn {
  const numbers = values.filter((value) => typeof value === 'number');
  const isWhole = numbers.length > 0 && numbers.every((value) => Number.isSafeInteger(value));
  return {
    name,
    floats: isWhole ? [] : numbers,
    ints: isWhole ? numbers : [],
    strings: values.filter((value) => typeof value === 'string'),
  };
}
