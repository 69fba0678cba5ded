import { AppError, toAppError } from '@headrace/base/errors';
import { parameterOf, type InferParameter } from '@headrace/codec/infer-parameter';
import { decodeInferRequest, type InferRequest } from '@headrace/codec/infer-request';
import { encodeInferResponse, type InferResponse } from '@headrace/codec/infer-response';
import { DELIMITED } from '@headrace/codec/reader';
import { ProtoWriter } from '@headrace/codec/writer';
import {
  GRPCInferenceServiceDefinition,
  type ModelConfigRequest,
  type ModelConfigResponse,
  type ModelMetadataRequest,
  type ModelMetadataResponse,
  type ModelReadyRequest,
  type ModelReadyResponse,
  type ModelStatisticsRequest,
  type ModelStatisticsResponse,
  type RepositoryIndexRequest,
  type RepositoryIndexResponse,
  type RepositoryModelLoadRequest,
  type RepositoryModelLoadResponse,
  type RepositoryModelUnloadRequest,
  type RepositoryModelUnloadResponse,
  type ServerLiveResponse,
  type ServerMetadataResponse,
  type ServerReadyResponse,
} from '@headrace/contracts/inference/grpc_service';
import {
  bindGrpc,
  type CallContext,
  type Codec,
  type GrpcMethod,
  type GrpcService,
  type Implementation,
} from '@headrace/platform/grpc/server';
import { Injectable } from '@nestjs/common';
import { HotInfer, InferDoor } from './infer-door.js';
import { PROJECT_HEADER, refuseRepositoryParameters, toInferResponse, toTensorRequest } from './infer-messages.js';
import { InferenceViews } from './inference-views.js';

const { fullName, methods } = GRPCInferenceServiceDefinition;
/** The two methods that carry tensors have codecs of their own. */
const { modelInfer, modelStreamInfer, ...others } = methods;
const CONTROL = { ...GRPCInferenceServiceDefinition, methods: others };

/** One answer of a stream, before its bytes. */
interface StreamAnswer {
  /** '' = none */
  readonly error: string;
  readonly response: InferResponse;
}

/** The Open Inference Protocol over gRPC, with Triton's extensions, as the clients of either were built for it. */
@Injectable()
export class InferenceGrpc implements Implementation<typeof CONTROL> {
  constructor(
    private readonly views: InferenceViews,
    private readonly door: InferDoor,
  ) {}

  service(): GrpcService {
    return { fullName, methods: [...bindGrpc(CONTROL, this).methods, this.#infer(), this.#streamInfer()] };
  }

  serverLive(): Promise<ServerLiveResponse> {
    return Promise.resolve({ live: true });
  }

  serverReady(): Promise<ServerReadyResponse> {
    return Promise.resolve({ ready: this.views.isReady() });
  }

  async modelReady({ name, version }: ModelReadyRequest, call: CallContext): Promise<ModelReadyResponse> {
    return Promise.resolve({ ready: this.views.isModelReady(projectOf(call), name, version) });
  }

  serverMetadata(): Promise<ServerMetadataResponse> {
    return Promise.resolve(this.views.server());
  }

  async modelMetadata({ name, version }: ModelMetadataRequest, call: CallContext): Promise<ModelMetadataResponse> {
    return Promise.resolve(this.views.metadata(projectOf(call), name, version));
  }

  async modelConfig({ name, version }: ModelConfigRequest, call: CallContext): Promise<ModelConfigResponse> {
    return Promise.resolve({ config: this.views.config(projectOf(call), name, version) });
  }

  async modelStatistics({ name, version }: ModelStatisticsRequest, call: CallContext): Promise<ModelStatisticsResponse> {
    return { modelStats: await this.views.statistics(projectOf(call), name, version) };
  }

  repositoryIndex({ ready }: RepositoryIndexRequest, call: CallContext): Promise<RepositoryIndexResponse> {
    return Promise.resolve({ models: this.views.index(projectOf(call), ready) });
  }

  async repositoryModelLoad(
    { modelName, parameters }: RepositoryModelLoadRequest,
    call: CallContext,
  ): Promise<RepositoryModelLoadResponse> {
    const version = parameters['version']?.parameterChoice?.value;
    refuseRepositoryParameters(Object.keys(parameters));
    await this.views.load(projectOf(call), modelName, version === undefined ? '' : String(version));
    return {};
  }

  async repositoryModelUnload({ modelName }: RepositoryModelUnloadRequest, call: CallContext): Promise<RepositoryModelUnloadResponse> {
    await this.views.unload(projectOf(call), modelName);
    return {};
  }

  #infer(): GrpcMethod {
    return {
      path: `/${fullName}/${modelInfer.name}`,
      requestStream: false,
      responseStream: false,
      request: REQUEST,
      response: RESPONSE,
      handle: async (request, call) => {
        const message = request as InferRequest;
        return toInferResponse(await this.#answer(message, call), message.raw.length > 0);
      },
      hot: (replies, refuse) => new HotInfer(this.door.inference, replies, refuse),
    };
  }

  #streamInfer(): GrpcMethod {
    return {
      path: `/${fullName}/${modelStreamInfer.name}`,
      requestStream: true,
      responseStream: true,
      request: REQUEST,
      response: STREAM_ANSWER,
      handle: (requests, call) => this.#stream(requests as AsyncIterable<InferRequest>, call),
    };
  }

  async *#stream(requests: AsyncIterable<InferRequest>, call: CallContext): AsyncIterable<StreamAnswer> {
    for await (const message of requests) {
      try {
        // A client that takes several answers a request is told that there is one.
        const extra = parameterOf(message.parameters, 'triton_enable_empty_final_response') ? FINAL : [];
        yield { error: '', response: toInferResponse(await this.#answer(message, call), message.raw.length > 0, extra) };
      } catch (thrown) {
        const error = toAppError(thrown);
        if (error.code === 'CANCELLED') throw error;
        const { modelName, modelVersion, id } = message;
        yield { error: error.message, response: { modelName, modelVersion, id, parameters: [], outputs: [], raw: [] } };
      }
    }
  }

  async #answer(message: InferRequest, call: CallContext): ReturnType<InferDoor['infer']> {
    return this.door.infer(
      toTensorRequest(message, projectOf(call), call.deadlineMs),
      call.signal,
      (name) => call.metadata.get(name) ?? '',
    );
  }
}

const FINAL: readonly InferParameter[] = [{ name: 'triton_final_response', value: { kind: 'bool', value: true } }];

const REQUEST: Codec<unknown> = { decode: (bytes) => decodeInferRequest(bytes), encode: notRead };
const RESPONSE: Codec<unknown> = {
  decode: notRead,
  encode: (response) => {
    const writer = new ProtoWriter();
    encodeInferResponse(response as InferResponse, writer);
    return writer.finish();
  },
};
/** ModelStreamInferResponse { string error_message = 1; ModelInferResponse infer_response = 2; } */
const STREAM_ANSWER: Codec<unknown> = {
  decode: notRead,
  encode: (answer) => {
    const { error, response } = answer as StreamAnswer;
    const writer = new ProtoWriter();
    if (error !== '') {
      writer.tag(1, DELIMITED);
      writer.string(error);
    }
    writer.tag(2, DELIMITED);
    const mark = writer.begin(256);
    encodeInferResponse(response, writer);
    writer.end(mark);
    return writer.finish();
  },
};

function notRead(): never {
  throw new AppError('INTERNAL', 'a server reads requests and writes answers');
}

function projectOf(call: CallContext): string {
  return call.metadata.get(PROJECT_HEADER) ?? '';
}
