import { resolve } from 'node:path';
import { PlatformModule } from '@headrace/platform/platform-module';
import { Module, type DynamicModule } from '@nestjs/common';
import { ApplyDefinitions } from './app/apply-definitions.js';
import { BuildTrainingSet } from './app/build-training-set.js';
import { FrameJoinRunner, FrameJoinWorker } from './app/frame-join-worker.js';
import { FrameJoins } from './app/frame-joins.js';
import { GetOnlineFeatures } from './app/get-online-features.js';
import { IngestRows } from './app/ingest-rows.js';
import { ListViews } from './app/list-views.js';
import { PushRows } from './app/push-rows.js';
import { OnlineRebuilds, RebuildOnline } from './app/rebuild-online.js';
import { UpdateWindows } from './app/update-windows.js';
import { ViewCatalogue } from './app/view-catalogue.js';
import { WriteOnline } from './app/write-online.js';
import { LIMITS, type Config } from './config.js';
import { OnFeatureRows } from './events/on-feature-rows.js';
import { DefinitionStore } from './io/definition-store.js';
import { FRAME_FOLDER, FrameFiles } from './io/frame-files.js';
import { FrameJoin } from './io/frame-join.js';
import { JoinStore } from './io/join-store.js';
import { OfflineStore } from './io/offline-store.js';
import { OnlineStore } from './io/online-store.js';
import { Schema } from './io/schema.js';
import { SNAPSHOT_FOLDER, SnapshotFiles } from './io/snapshot-files.js';
import { TrainingSetStore } from './io/training-set-store.js';
import { WindowHistory } from './io/window-history.js';
import { WindowRows } from './io/window-rows.js';
import { WindowStore } from './io/window-store.js';
import { FeastHttp } from './rpc/feast-http.js';
import { FeastPushHttp } from './rpc/feast-push-http.js';
import { FeatureStoreRpc } from './rpc/feature-store-rpc.js';
import { JoinsHttp } from './rpc/joins-http.js';
import { JoinsRpc } from './rpc/joins-rpc.js';
import { PushHttp } from './rpc/push-http.js';
import { TrainingSetsHttp } from './rpc/training-sets-http.js';
import { ViewsHttp } from './rpc/views-http.js';
import { FeatureTelemetry } from './telemetry.js';

@Module({})
export class AppModule {
  static forRoot(config: Config): DynamicModule {
    return {
      module: AppModule,
      imports: [PlatformModule.forRoot('feature-store', config, { postgres: true, redis: true, kafka: true })],
      controllers: [ViewsHttp, TrainingSetsHttp, PushHttp, FeastHttp, FeastPushHttp, JoinsHttp],
      providers: [
        { provide: LIMITS, useValue: config },
        { provide: SNAPSHOT_FOLDER, useValue: resolve(config.stateDir, 'feature-store', 'training-sets') },
        { provide: FRAME_FOLDER, useValue: resolve(config.stateDir, 'feature-store', 'frames') },
        Schema,
        FeatureTelemetry,
        DefinitionStore,
        OfflineStore,
        OnlineStore,
        WindowRows,
        WindowStore,
        WindowHistory,
        SnapshotFiles,
        TrainingSetStore,
        FrameFiles,
        FrameJoin,
        JoinStore,
        ViewCatalogue,
        UpdateWindows,
        WriteOnline,
        RebuildOnline,
        OnlineRebuilds,
        ApplyDefinitions,
        ListViews,
        IngestRows,
        PushRows,
        GetOnlineFeatures,
        BuildTrainingSet,
        OnFeatureRows,
        FeatureStoreRpc,
        FrameJoins,
        FrameJoinRunner,
        FrameJoinWorker,
        JoinsRpc,
      ],
    };
  }
}
