import { resolve } from 'node:path';
import { RegistryDefinition } from '@headrace/contracts/registry/v1/registry';
import { createClient } from '@headrace/platform/grpc/client';
import { PlatformModule } from '@headrace/platform/platform-module';
import { Resources } from '@headrace/platform/resources';
import { TlsCertificates } from '@headrace/platform/tls/tls-certificates';
import { Module, type DynamicModule } from '@nestjs/common';
import { ApplyDefinitions } from './app/apply-definitions.js';
import { BuildTrainingSet } from './app/build-training-set.js';
import { ExplainValue } from './app/explain-value.js';
import { EntityStores, EraseEntity } from './app/erase-entity.js';
import { ErasedRows } from './app/erased-rows.js';
import { ExportHistory } from './app/export-history.js';
import { FeatureAlerts } from './app/feature-alerts.js';
import { FrameJoinRunner, FrameJoinWorker } from './app/frame-join-worker.js';
import { FrameJoins } from './app/frame-joins.js';
import { GetOnlineFeatures } from './app/get-online-features.js';
import { FeatureFacts } from './app/feature-facts.js';
import { FeatureUsage } from './app/feature-usage.js';
import { FeatureHealth, HealthWatch } from './app/health-watch.js';
import { Housekeeping } from './app/housekeeping.js';
import { IngestRows } from './app/ingest-rows.js';
import { InspectView } from './app/inspect-view.js';
import { ListViews } from './app/list-views.js';
import { OnlineReads } from './app/online-reads.js';
import { PushRows } from './app/push-rows.js';
import { FeatureQuality, QualityWatch } from './app/quality-watch.js';
import { QuarantineRows, ReviewQuarantine } from './app/quarantine-rows.js';
import { ReadFeatures } from './app/read-features.js';
import { ReadLineage } from './app/read-lineage.js';
import { OnlineRebuilds, RebuildOnline } from './app/rebuild-online.js';
import { RequestBackfill } from './app/request-backfill.js';
import { RetireRows } from './app/retire-rows.js';
import { RunBackfills } from './app/run-backfills.js';
import { SearchFeatures } from './app/search-features.js';
import { ServedValues } from './app/served-values.js';
import { StoreRows } from './app/store-rows.js';
import { ServiceVectors } from './app/service-vectors.js';
import { UpdateWindows } from './app/update-windows.js';
import { ValueOrigins } from './app/value-origins.js';
import { ViewCatalogue } from './app/view-catalogue.js';
import { WriteOnline } from './app/write-online.js';
import { LIMITS, type Config } from './config.js';
import { OnFeatureRows } from './events/on-feature-rows.js';
import { BackfillStore } from './io/backfill-store.js';
import { AlertStore } from './io/alert-store.js';
import { DefinitionStore } from './io/definition-store.js';
import { EntityRows } from './io/entity-rows.js';
import { ErasureStore } from './io/erasure-store.js';
import { FRAME_FOLDER, FrameFiles } from './io/frame-files.js';
import { FrameJoin } from './io/frame-join.js';
import { HealthStore } from './io/health-store.js';
import { HistoryStore } from './io/history-store.js';
import { JoinStore } from './io/join-store.js';
import { LineageStore } from './io/lineage-store.js';
import { ModelUses } from './io/model-uses.js';
import { OfflineStore } from './io/offline-store.js';
import { OnlineStore } from './io/online-store.js';
import { QualityStore } from './io/quality-store.js';
import { QuarantineStore } from './io/quarantine-store.js';
import { SampleValues } from './io/sample-values.js';
import { RebuildStore } from './io/rebuild-store.js';
import { RetentionStore } from './io/retention-store.js';
import { Schema } from './io/schema.js';
import { SNAPSHOT_FOLDER, SnapshotFiles } from './io/snapshot-files.js';
import { TrainingSetStore } from './io/training-set-store.js';
import { UsageStore } from './io/usage-store.js';
import { ValueHistory } from './io/value-history.js';
import { BackfillsHttp } from './rpc/backfills-http.js';
import { BackfillsRpc } from './rpc/backfills-rpc.js';
import { CatalogueHttp } from './rpc/catalogue-http.js';
import { CatalogueRpc } from './rpc/catalogue-rpc.js';
import { VectorStore } from './io/vector-store.js';
import { WindowHistory } from './io/window-history.js';
import { WindowRows } from './io/window-rows.js';
import { WindowStore } from './io/window-store.js';
import { FeastHttp } from './rpc/feast-http.js';
import { FeastPushHttp } from './rpc/feast-push-http.js';
import { FeatureStoreRpc } from './rpc/feature-store-rpc.js';
import { ExportsHttp } from './rpc/exports-http.js';
import { HealthHttp } from './rpc/health-http.js';
import { HealthRpc } from './rpc/health-rpc.js';
import { JoinsHttp } from './rpc/joins-http.js';
import { JoinsRpc } from './rpc/joins-rpc.js';
import { PushHttp } from './rpc/push-http.js';
import { ErasuresHttp } from './rpc/erasures-http.js';
import { ErasuresRpc } from './rpc/erasures-rpc.js';
import { RebuildsHttp } from './rpc/rebuilds-http.js';
import { QualityHttp } from './rpc/quality-http.js';
import { QualityRpc } from './rpc/quality-rpc.js';
import { QuarantineHttp } from './rpc/quarantine-http.js';
import { QuarantineRpc } from './rpc/quarantine-rpc.js';
import { TrainingSetsHttp } from './rpc/training-sets-http.js';
import { ViewsHttp } from './rpc/views-http.js';
import { FeatureTelemetry } from './telemetry.js';

/** Only a person who plans or applies waits for it. */
const REGISTRY_TIMEOUT_MS = 5_000;

@Module({})
export class AppModule {
  static forRoot(config: Config): DynamicModule {
    return {
      module: AppModule,
      imports: [PlatformModule.forRoot('feature-store', config, { postgres: true, redis: true, kafka: true })],
      controllers: [
        ViewsHttp,
        TrainingSetsHttp,
        PushHttp,
        QuarantineHttp,
        BackfillsHttp,
        FeastHttp,
        FeastPushHttp,
        JoinsHttp,
        HealthHttp,
        QualityHttp,
        RebuildsHttp,
        ErasuresHttp,
        ExportsHttp,
        CatalogueHttp,
      ],
      providers: [
        { provide: LIMITS, useValue: config },
        { provide: SNAPSHOT_FOLDER, useValue: resolve(config.stateDir, 'feature-store', 'training-sets') },
        { provide: FRAME_FOLDER, useValue: resolve(config.stateDir, 'feature-store', 'frames') },
        Schema,
        FeatureTelemetry,
        DefinitionStore,
        {
          provide: ModelUses,
          inject: [Resources, TlsCertificates],
          useFactory: (resources: Resources, { peers: tls }: TlsCertificates) => {
            const client = createClient(RegistryDefinition, config.registryGrpc, {
              apiKey: config.apiKey,
              tls,
              defaultTimeoutMs: REGISTRY_TIMEOUT_MS,
            });
            resources.add('registry client', { close: () => Promise.resolve(client.close()) });
            return new ModelUses(client);
          },
        },
        OfflineStore,
        OnlineStore,
        QuarantineStore,
        BackfillStore,
        WindowRows,
        WindowStore,
        VectorStore,
        WindowHistory,
        SnapshotFiles,
        TrainingSetStore,
        FrameFiles,
        FrameJoin,
        JoinStore,
        HealthStore,
        QualityStore,
        ErasureStore,
        EntityRows,
        RetentionStore,
        RebuildStore,
        HistoryStore,
        AlertStore,
        UsageStore,
        SampleValues,
        LineageStore,
        ValueHistory,
        ViewCatalogue,
        UpdateWindows,
        ServiceVectors,
        WriteOnline,
        RebuildOnline,
        OnlineRebuilds,
        ApplyDefinitions,
        ListViews,
        StoreRows,
        ErasedRows,
        IngestRows,
        PushRows,
        QuarantineRows,
        RunBackfills,
        RequestBackfill,
        ReviewQuarantine,
        GetOnlineFeatures,
        OnlineReads,
        ReadFeatures,
        BuildTrainingSet,
        OnFeatureRows,
        FeatureStoreRpc,
        FrameJoins,
        FrameJoinRunner,
        FrameJoinWorker,
        JoinsRpc,
        BackfillsRpc,
        ExportHistory,
        FeatureAlerts,
        InspectView,
        FeatureHealth,
        HealthWatch,
        HealthRpc,
        FeatureUsage,
        FeatureFacts,
        SearchFeatures,
        ReadLineage,
        ValueOrigins,
        ServedValues,
        ExplainValue,
        CatalogueRpc,
        QuarantineRpc,
        FeatureQuality,
        QualityWatch,
        QualityRpc,
        EntityStores,
        EraseEntity,
        ErasuresRpc,
        RetireRows,
        Housekeeping,
      ],
    };
  }
}
