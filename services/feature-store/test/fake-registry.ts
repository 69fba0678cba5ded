import { AppError } from '@headrace/base/errors';
import { RegistryDefinition, type Model, type Version } from '@headrace/contracts/registry/v1/registry';
import { bindGrpc, type Implementation } from '@headrace/platform/grpc/server';
import { startWireServer } from '@headrace/platform/grpc/wire-server';
import { Guard } from '@headrace/platform/guard';
import { Log } from '@headrace/platform/log';
import { Telemetry } from '@headrace/platform/telemetry';

export interface FakeRegistry {
  readonly address: string;
  /** What it answers with; tests fill them. */
  readonly models: Model[];
  readonly versions: Version[];
  close(): Promise<void>;
}

/** A registry that knows models and versions and does nothing else, over real gRPC. */
export async function startFakeRegistry(): Promise<FakeRegistry> {
  const models: Model[] = [];
  const versions: Version[] = [];
  const refuse = (): Promise<never> => Promise.reject(new AppError('REQUEST_INVALID', 'the registry of this test only lists'));
  const implementation: Implementation<typeof RegistryDefinition> = {
    listModels: ({ project }) => Promise.resolve({ models: models.filter((model) => model.project === project) }),
    listVersions: ({ project, model }) =>
      Promise.resolve({ versions: versions.filter((version) => version.project === project && version.model === model) }),
    applyModel: refuse,
    getModel: refuse,
    registerVersion: refuse,
    getVersion: refuse,
    setAlias: refuse,
  };
  const service = bindGrpc(RegistryDefinition, implementation);
  const grpc = Object.fromEntries(service.methods.map(({ path }) => [path, 'models:read'] as const));
  const telemetry = new Telemetry({ service: 'registry', instance: 'test', otlpEndpoint: '', sampleRatio: 0 });
  const server = await startWireServer({
    host: '127.0.0.1',
    port: 0,
    services: [service],
    guard: new Guard({ http: {}, grpc, topics: {} }, ''),
    telemetry,
    log: Log.create('registry', 'silent', 'test'),
  });
  return {
    address: server.address,
    models,
    versions,
    close: async () => {
      await server.close(1_000);
      await telemetry.close();
    },
  };
}
