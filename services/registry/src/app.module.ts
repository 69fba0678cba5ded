import { PlatformModule } from '@headrace/platform/platform-module';
import { Module, type DynamicModule } from '@nestjs/common';
import { resolve } from 'node:path';
import { Announcer } from './app/announce.js';
import { ApplyModels } from './app/apply-models.js';
import { Catalogue } from './app/catalogue.js';
import { KeepArtifacts } from './app/keep-artifacts.js';
import { RegisterVersion } from './app/register-version.js';
import { SetAlias } from './app/set-alias.js';
import type { Config } from './config.js';
import { ArtifactStore } from './io/artifacts.js';
import { ArtifactsHttp } from './rpc/artifacts-http.js';
import { ModelsHttp } from './rpc/models-http.js';
import { RegistryRpc } from './rpc/registry-rpc.js';
import { Telemetry } from './telemetry.js';

@Module({})
export class AppModule {
  static forRoot(config: Config): DynamicModule {
    return {
      module: AppModule,
      imports: [PlatformModule.forRoot('registry', config, { postgres: true, kafka: true })],
      controllers: [ArtifactsHttp, ModelsHttp],
      providers: [
        {
          provide: ArtifactStore,
          useFactory: () => new ArtifactStore(resolve(config.stateDir, 'registry', 'artifacts'), config.artifactBytesMax),
        },
        Telemetry,
        Announcer,
        ApplyModels,
        SetAlias,
        RegisterVersion,
        KeepArtifacts,
        Catalogue,
        RegistryRpc,
      ],
    };
  }
}
