import { PlatformModule } from '@headrace/platform/platform-module';
import { Resources } from '@headrace/platform/resources';
import { TlsCertificates } from '@headrace/platform/tls/tls-certificates';
import { Module, type DynamicModule } from '@nestjs/common';
import { Alerts } from './app/alerts.js';
import { Catalogue } from './app/catalogue.js';
import { FollowModels } from './app/follow-models.js';
import { IngestOutcomes } from './app/ingest-outcomes.js';
import { IngestPredictions } from './app/ingest-predictions.js';
import { JudgeVersion } from './app/judge-version.js';
import { JudgingLoop } from './app/judging-loop.js';
import { ParkBatch } from './app/park-batch.js';
import { RaiseAlerts } from './app/raise-alerts.js';
import { ReadReport } from './app/report.js';
import { Surroundings } from './app/surroundings.js';
import { Sweep } from './app/sweep.js';
import { UnparkBatches } from './app/unpark-batches.js';
import { CONFIG, type Config } from './config.js';
import { OnModelsFollowed } from './events/on-models-followed.js';
import { OnOutcomesObserved } from './events/on-outcomes-observed.js';
import { OnPredictionsLogged } from './events/on-predictions-logged.js';
import { RegistryClient } from './io/registry.js';
import { MonitorHttp } from './rpc/monitor-http.js';
import { MonitorRpc } from './rpc/monitor-rpc.js';
import { Telemetry } from './telemetry.js';

@Module({})
export class AppModule {
  static forRoot(config: Config): DynamicModule {
    return {
      module: AppModule,
      imports: [PlatformModule.forRoot('monitor', config, { postgres: true, kafka: true })],
      controllers: [MonitorHttp],
      providers: [
        { provide: CONFIG, useValue: config },
        {
          provide: RegistryClient,
          inject: [Resources, TlsCertificates],
          useFactory: (resources: Resources, { peers: tls }: TlsCertificates) =>
            resources.add('registry client', new RegistryClient(config.registryGrpc, { apiKey: config.apiKey, tls })),
        },
        Telemetry,
        Surroundings,
        Catalogue,
        RaiseAlerts,
        JudgeVersion,
        JudgingLoop,
        IngestOutcomes,
        IngestPredictions,
        ParkBatch,
        UnparkBatches,
        FollowModels,
        Sweep,
        Alerts,
        ReadReport,
        OnPredictionsLogged,
        OnOutcomesObserved,
        OnModelsFollowed,
        MonitorRpc,
      ],
    };
  }
}
