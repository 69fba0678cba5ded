import { AppError } from '@headrace/base/errors';
import { DEFAULT_PROJECT } from '@headrace/base/ids';
import {
  DataType,
  ModelInstanceGroup_Kind,
  type ModelConfig,
  type ModelMetadataResponse,
  type ModelStatistics as StatisticsMessage,
  type RepositoryIndexResponse_ModelIndex,
  type ServerMetadataResponse,
} from '@headrace/contracts/inference/grpc_service';
import { Siblings } from '@headrace/platform/processes/siblings';
import type { Datatype } from '@headrace/executor/tensor';
import { Injectable } from '@nestjs/common';
import { ModelHost } from '../app/model-host.js';
import { RepositoryOrders } from '../app/repository-orders.js';
import { RouteFinder } from '../app/route-finder.js';
import type { LoadState } from '../domain/load-state.js';
import { StatisticsBook, type ModelStatistics } from '../domain/model-statistics.js';
import type { ServedModel } from '../domain/predict-job.js';
import { versionNumber } from '../domain/tensor-request.js';
import { sumStatistics, statisticsMessage } from './inference-statistics.js';

/** What processes behind one port ask each other for. */
const STATISTICS = 'inference-statistics';
const SIBLING_TIMEOUT_MS = 1_000;

interface Asked {
  readonly project: string;
  readonly name: string;
  /** 0 = all */
  readonly version: number;
}

/** Of the protocol itself, and of what we offer beyond its base. */
const SERVER: ServerMetadataResponse = {
  name: 'headrace-serving',
  version: '2',
  extensions: ['model_repository', 'model_configuration', 'statistics', 'binary_tensor_data'],
};
const PLATFORM = 'onnxruntime_onnx';
const BACKEND = 'onnxruntime';

const CONFIG_TYPES: Readonly<Record<Datatype, DataType>> = {
  BOOL: DataType.TYPE_BOOL,
  INT8: DataType.TYPE_INT8,
  INT16: DataType.TYPE_INT16,
  INT32: DataType.TYPE_INT32,
  INT64: DataType.TYPE_INT64,
  UINT8: DataType.TYPE_UINT8,
  UINT16: DataType.TYPE_UINT16,
  UINT32: DataType.TYPE_UINT32,
  UINT64: DataType.TYPE_UINT64,
  FP16: DataType.TYPE_FP16,
  FP32: DataType.TYPE_FP32,
  FP64: DataType.TYPE_FP64,
  BYTES: DataType.TYPE_STRING,
};

/** Words of the repository extension. */
const INDEX_STATES: Readonly<Record<LoadState, string>> = {
  pending: 'LOADING',
  loading: 'LOADING',
  standby: 'LOADING',
  loaded: 'READY',
  draining: 'UNLOADING',
  unloaded: 'UNAVAILABLE',
  failed: 'UNAVAILABLE',
};

/** What the Open Inference Protocol says about this process and its models, for both of its doors. Names and versions are the caller's texts. */
@Injectable()
export class InferenceViews {
  constructor(
    private readonly host: ModelHost,
    private readonly routes: RouteFinder,
    private readonly orders: RepositoryOrders,
    private readonly book: StatisticsBook,
    private readonly siblings: Siblings,
  ) {
    siblings.on<Asked>(STATISTICS, ({ project, name, version }) => Promise.resolve(this.#counted(project, name, version)));
  }

  server(): ServerMetadataResponse {
    return SERVER;
  }

  /** Doors open when what the last run served is served again, and close behind the last answer. */
  isReady(): boolean {
    return !this.host.isClosing;
  }

  /** false for a model or version that is not here; one that had left for want of memory is on its way back then. @throws AppError REQUEST_INVALID for a version that is no number */
  isModelReady(project: string, name: string, version: string): boolean {
    try {
      return this.#find(project, name, version).state === 'loaded';
    } catch (error) {
      if (error instanceof AppError && ['MODEL_NOT_LOADED', 'VERSION_UNKNOWN', 'DEPENDENCY_UNAVAILABLE'].includes(error.code)) return false;
      throw error;
    }
  }

  metadata(project: string, name: string, version: string): ModelMetadataResponse {
    const model = this.#find(project, name, version);
    const { inputs, outputs } = model.parts.tensors;
    const tensor = ({ name, datatype, shape }: (typeof inputs)[number]) => ({ name, datatype, shape: [...shape] });
    return {
      name: model.model,
      versions: this.host.routed(project || DEFAULT_PROJECT, name).map((one) => String(one.version)),
      platform: PLATFORM,
      inputs: inputs.map(tensor),
      outputs: outputs.map(tensor),
    };
  }

  config(project: string, name: string, version: string): ModelConfig {
    const model = this.#find(project, name, version);
    const { inputs, outputs, isRowWise } = model.parts.tensors;
    const tensor = ({ name, datatype, shape }: (typeof inputs)[number]) => ({
      name,
      dataType: CONFIG_TYPES[datatype],
      // Rows are left out where requests are batched.
      dims: isRowWise ? shape.slice(1) : [...shape],
    });
    return {
      name: model.model,
      platform: PLATFORM,
      backend: BACKEND,
      maxBatchSize: isRowWise ? model.parts.lane.rowsMax : 0,
      input: inputs.map(tensor),
      output: outputs.map(tensor),
      instanceGroup: [{ name: `${model.model}_0`, kind: ModelInstanceGroup_Kind.CPU, count: 1 }],
      defaultModelFilename: 'model.onnx',
      dynamicBatching: isRowWise ? { preferredBatchSize: [], maxQueueDelayMicroseconds: 0 } : undefined,
    };
  }

  /**
   * Of all processes behind the port together; '' = all models, all versions. What was answered stays, also when the version has gone.
   * @throws AppError MODEL_NOT_LOADED, VERSION_UNKNOWN
   */
  async statistics(project: string, name: string, version: string): Promise<StatisticsMessage[]> {
    const asked: Asked = { project: project || DEFAULT_PROJECT, name, version: versionNumber(version) };
    const own = this.#counted(asked.project, name, asked.version);
    if (name !== '' && own.length === 0) this.#find(project, name, version);
    const others = await this.siblings.ask(STATISTICS, asked, SIBLING_TIMEOUT_MS);
    return sumStatistics([...own, ...others.flatMap((answer) => (answer.ok ? (answer.body as StatisticsMessage[]) : []))]);
  }

  /** Every version that this process holds or failed to load, and the models that were unloaded by request. */
  index(project: string, isReadyOnly: boolean): RepositoryIndexResponse_ModelIndex[] {
    const tenant = project || DEFAULT_PROJECT;
    const held = this.host.list(tenant).map((model) => ({
      name: model.model,
      version: String(model.version),
      state: INDEX_STATES[model.state],
      reason: model.failure,
    }));
    const unloaded = this.host.heldOut(tenant).map(({ model }) => ({ name: model, version: '', state: 'UNAVAILABLE', reason: 'unloaded' }));
    return [...held, ...unloaded].filter(({ state }) => !isReadyOnly || state === 'READY');
  }

  /** `version` '' = the registry's champion; a number = that version beside the champion. */
  async load(project: string, name: string, version: string): Promise<void> {
    await this.orders.load(project || DEFAULT_PROJECT, name, versionNumber(version));
  }

  async unload(project: string, name: string): Promise<void> {
    await this.orders.unload(project || DEFAULT_PROJECT, name);
  }

  #find(project: string, name: string, version: string): ServedModel {
    return this.routes.versionOf(project, name, versionNumber(version));
  }

  /** Versions that are served here or were asked for; 0 = all. */
  #counted(project: string, name: string, version: number): StatisticsMessage[] {
    const isServed = (one: ModelStatistics): boolean =>
      this.host.list(project).some((model) => model.model === one.model && model.version === one.version && model.state === 'loaded');
    return this.book
      .list(project, name)
      .filter((one) => (version === 0 || one.version === version) && (one.requests > 0 || one.failures.size > 0 || isServed(one)))
      .map(statisticsMessage);
  }
}
