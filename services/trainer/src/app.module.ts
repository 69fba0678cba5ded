import { RegistryDefinition } from '@headrace/contracts/registry/v1/registry';
import { createClient } from '@headrace/platform/grpc/client';
import { PlatformModule } from '@headrace/platform/platform-module';
import { Postgres } from '@headrace/platform/postgres/postgres';
import { Resources } from '@headrace/platform/resources';
import { TlsCertificates } from '@headrace/platform/tls/tls-certificates';
import { Module, type DynamicModule } from '@nestjs/common';
import { CancelRun } from './app/cancel-run.js';
import { ExpireLeases } from './app/expire-leases.js';
import { RequestRun } from './app/request-run.js';
import { RunSteps } from './app/run-steps.js';
import { Runs } from './app/runs.js';
import type { Config } from './config.js';
import { OnTrainingRequested } from './events/on-training-requested.js';
import { RunsHttp } from './rpc/runs-http.js';
import { TrainerRpc } from './rpc/trainer-rpc.js';
import { Telemetry } from './telemetry.js';

@Module({})
export class AppModule {
  static forRoot(config: Config): DynamicModule {
    return {
      module: AppModule,
      imports: [PlatformModule.forRoot('trainer', config, { postgres: true, kafka: true })],
      controllers: [RunsHttp],
      providers: [
        Telemetry,
        RunSteps,
        Runs,
        CancelRun,
        {
          provide: RequestRun,
          inject: [Postgres, RunSteps, Telemetry, Resources, TlsCertificates],
          useFactory: (postgres: Postgres, steps: RunSteps, telemetry: Telemetry, resources: Resources, tls: TlsCertificates) =>
            new RequestRun(postgres, steps, telemetry, registryClient(config, resources, tls), config.queueMax),
        },
        {
          provide: ExpireLeases,
          inject: [Postgres, RunSteps],
          useFactory: (postgres: Postgres, steps: RunSteps) => new ExpireLeases(postgres, steps, config),
        },
        OnTrainingRequested,
        TrainerRpc,
      ],
    };
  }
}

function registryClient(
  config: Config,
  resources: Resources,
  { peers: tls }: TlsCertificates,
): ReturnType<typeof createClient<typeof RegistryDefinition>> {
  const client = createClient(RegistryDefinition, config.registryGrpc, { apiKey: config.apiKey, tls });
  resources.add('registry client', { close: () => Promise.resolve(client.close()) });
  return client;
}
