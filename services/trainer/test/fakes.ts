import { AppError } from '@headrace/base/errors';
import { contentHash } from '@headrace/base/canonical-json';
import {
  FeatureStoreDefinition,
  type BuildTrainingSetRequest,
  type TrainingSet,
  type View,
} from '@headrace/contracts/features/v1/features';
import { RegistryDefinition, Version, VersionState, type RegisterVersionRequest } from '@headrace/contracts/registry/v1/registry';
import { bindGrpc, startGrpcServer, type GrpcService } from '@headrace/platform/grpc/server';
import { Guard, type Permission } from '@headrace/platform/guard';
import { Log } from '@headrace/platform/log';
import { Telemetry } from '@headrace/platform/telemetry';
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Small honest twins of the trainer's two peers: they keep what they are told and hold to the contracts. */
export interface FakeFeatureStore {
  readonly grpc: string;
  readonly http: string;
  readonly builds: BuildTrainingSetRequest[];
  /** Bytes of the one snapshot; a test may damage them. */
  parquet: Buffer;
  views: View[];
  /** Builds that answer only when it resolves. */
  hold: Promise<void>;
  close(): Promise<void>;
}

export interface FakeRegistry {
  readonly grpc: string;
  readonly http: string;
  readonly models: Map<string, Record<string, unknown>>;
  readonly artifacts: Map<string, Buffer>;
  /** One for each run. */
  readonly versions: Version[];
  readonly registrations: RegisterVersionRequest[];
  /** Calls that are to fail as if the registry were away. */
  failNext: number;
  close(): Promise<void>;
}

export async function fakeFeatureStore(parquet: Buffer, views: View[], columns: readonly string[]): Promise<FakeFeatureStore> {
  const builds: BuildTrainingSetRequest[] = [];
  const fake = { builds, parquet, views, hold: Promise.resolve() };
  const hash = sha256(parquet);
  const set: TrainingSet = {
    hash,
    rows: 1,
    bytes: parquet.length,
    columns: [...columns],
    path: `/training-sets/${hash}.parquet`,
    query: 'SELECT the small set',
    viewHashes: { person: 'p'.repeat(64) },
  };
  const absent = (): Promise<never> => Promise.reject(new AppError('NOT_FOUND', 'not in this twin'));
  const service = bindGrpc(FeatureStoreDefinition, {
    listViews: () => Promise.resolve({ views: fake.views }),
    buildTrainingSet: async (request) => {
      builds.push(request);
      await fake.hold;
      return set;
    },
    listPersonalFeatures: absent,
    apply: absent,
    rebuildOnline: absent,
    publishRows: absent,
    getOnlineFeatures: absent,
    getTrainingSet: absent,
  });
  const doors = await open([service], (request, response) => {
    if (request.url?.startsWith(set.path)) response.writeHead(200, { 'content-type': 'application/vnd.apache.parquet' }).end(fake.parquet);
    else response.writeHead(404).end();
  });
  return Object.assign(fake, doors);
}

export async function fakeRegistry(): Promise<FakeRegistry> {
  const models = new Map<string, Record<string, unknown>>();
  const artifacts = new Map<string, Buffer>();
  const versions: Version[] = [];
  const registrations: RegisterVersionRequest[] = [];
  const fake = { models, artifacts, versions, registrations, failNext: 0 };
  const away = (): void => {
    if (fake.failNext === 0) return;
    fake.failNext -= 1;
    throw new AppError('DEPENDENCY_UNAVAILABLE', 'the registry is restarting');
  };
  const absent = (): Promise<never> => Promise.reject(new AppError('NOT_FOUND', 'not in this twin'));
  const service = bindGrpc(RegistryDefinition, {
    getModel: async ({ project, model }) => {
      away();
      const spec = models.get(model);
      if (!spec) throw new AppError('MODEL_UNKNOWN', `no model ${model}`);
      const champion = versions.findLast((v) => v.model === model)?.version;
      return { project, name: model, definitionVersion: 1, contentHash: contentHash(spec), spec, aliases: champion ? { champion } : {} };
    },
    registerVersion: async (request) => {
      registrations.push(request);
      const known = versions.find((v) => v.runId === request.runId);
      if (known) return known;
      if (!artifacts.has(request.artifactSha256)) throw new AppError('ARTIFACT_UNKNOWN', `no artefact ${request.artifactSha256}`);
      const version = versions.filter((v) => v.model === request.model).length + 1;
      const made = Version.create({
        ...request,
        version,
        state: VersionState.CHAMPION,
        blessing: { blessed: true, gates: [], championVersion: 0 },
      });
      versions.push(made);
      return made;
    },
    applyModel: absent,
    listModels: absent,
    getVersion: absent,
    listVersions: absent,
    setAlias: absent,
  });
  const doors = await open([service], async (request, response) => {
    const name = /^\/artifacts\/([0-9a-f]{64})\?/.exec(request.url ?? '')?.[1];
    const body = await bodyOf(request);
    if (request.method === 'PUT' && name && sha256(body) === name) {
      artifacts.set(name, body);
      response.writeHead(201, { 'content-type': 'application/json' }).end('{}');
    } else response.writeHead(422, { 'content-type': 'application/problem+json' }).end('{"code":"ARTIFACT_CORRUPT"}');
  });
  return Object.assign(fake, doors);
}

async function open(services: GrpcService[], listener: RequestListener): Promise<{ grpc: string; http: string; close(): Promise<void> }> {
  const paths = services.flatMap((s) => s.methods.map((m) => [m.path, 'public'] as [string, Permission]));
  const telemetry = new Telemetry({ service: 'fake', instance: 'fake', otlpEndpoint: '', sampleRatio: 0 });
  const grpc = await startGrpcServer({
    host: '127.0.0.1',
    port: 0,
    services,
    guard: new Guard({ http: {}, grpc: Object.fromEntries(paths), topics: {} }, ''),
    telemetry,
    log: Log.create('fake', 'silent'),
  });
  const http = createServer(listener);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  return {
    grpc: grpc.address,
    http: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    close: async () => {
      await grpc.close(500);
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
      await telemetry.close();
    },
  };
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
