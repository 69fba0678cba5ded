import { EventPublisher } from '@headrace/platform/kafka/publisher';
import { KafkaClients } from '@headrace/platform/kafka/kafka-clients';
import { Log } from '@headrace/platform/log';
import { PlatformModule } from '@headrace/platform/platform-module';
import { Siblings } from '@headrace/platform/processes/siblings';
import { RedisClient } from '@headrace/platform/redis/redis';
import { Resources } from '@headrace/platform/resources';
import { TlsCertificates } from '@headrace/platform/tls/tls-certificates';
import { Module, type DynamicModule, type OnModuleInit, type Provider } from '@nestjs/common';
import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { RegistryFollower } from './app/follow-registry.js';
import { PinnedLoads } from './app/load-pinned.js';
import { ModelHost, type RolloutStep } from './app/model-host.js';
import { openVersion } from './app/open-version.js';
import { Predictor } from './app/predictor.js';
import { RouteChanges } from './app/set-route.js';
import { StatisticsReport } from './app/statistics-report.js';
import { RepositoryOrders } from './app/repository-orders.js';
import { TensorInference } from './app/tensor-inference.js';
import { RouteFinder } from './app/route-finder.js';
import type { Config } from './config.js';
import { Admission } from './domain/admission.js';
import { compileLogRules } from './domain/log-rules.js';
import { StatisticsBook } from './domain/model-statistics.js';
import { ShadowBook } from './domain/shadow-statistics.js';
import { PredictionIds } from './domain/prediction-ids.js';
import { OnModelChanged } from './events/on-model-changed.js';
import { ArtifactCache, HttpArtifacts } from './io/artifact-cache.js';
import { FeatureViews } from './io/feature-views.js';
import { directBinding } from '@headrace/executor/onnx-runtime';
import { PredictionLog } from './io/prediction-log.js';
import { RegistryClient } from './io/registry.js';
import { RolloutEvents } from './io/rollout-events.js';
import { RoutingFile } from './io/routing-file.js';
import { InferDoor } from './rpc/infer-door.js';
import { InferenceGrpc } from './rpc/inference-grpc.js';
import { InferenceHttp } from './rpc/inference-http.js';
import { InferenceViews } from './rpc/inference-views.js';
import { PredictionDoor } from './rpc/prediction-door.js';
import { ServingAdmin } from './rpc/serving-admin.js';
import { ServingHttp } from './rpc/serving-http.js';
import { Telemetry } from './telemetry.js';

const nowMs = (): number => Date.now();

@Module({})
export class AppModule implements OnModuleInit {
  constructor(
    private readonly host: ModelHost,
    private readonly file: RoutingFile,
    private readonly log: Log,
  ) {}

  /** Before any door opens: what the last run served is served again, whoever else is down. */
  async onModuleInit(): Promise<void> {
    if (!directBinding.native)
      this.log.warn('ONNX Runtime is called by its public API, some microseconds slower', { reason: directBinding.reason });
    await this.host.restore(await this.file.read());
  }

  static forRoot(config: Config, siblings: Siblings): DynamicModule {
    return {
      module: AppModule,
      imports: [PlatformModule.forRoot('serving', config, { kafka: true })],
      controllers: [ServingHttp],
      providers: [
        { provide: Siblings, useValue: siblings },
        ...io(config),
        ...app(config),
        OnModelChanged,
        PredictionDoor,
        InferDoor,
        InferenceViews,
        InferenceGrpc,
        InferenceHttp,
        ServingAdmin,
        Telemetry,
      ],
    };
  }
}

function io(config: Config): Provider[] {
  const { apiKey, instance, shutdownTimeoutMs: closeMs } = config;
  return [
    {
      provide: RedisClient,
      inject: [Log, Resources],
      // Its own client, because a prediction waits far less for Redis than other work does.
      useFactory: (log: Log, resources: Resources) =>
        resources.add(
          'redis',
          new RedisClient({ url: config.redisUrl, name: 'headrace-serving', commandTimeoutMs: config.redisTimeoutMs }, log),
        ),
    },
    {
      provide: RegistryClient,
      inject: [Resources, TlsCertificates],
      useFactory: (resources: Resources, { peers }: TlsCertificates) =>
        resources.add('registry', new RegistryClient(config.registryGrpc, apiKey, config.peerTimeoutMs, peers)),
    },
    {
      provide: FeatureViews,
      inject: [Resources, TlsCertificates],
      useFactory: (resources: Resources, { peers }: TlsCertificates) =>
        resources.add('feature store', new FeatureViews(config.featureStoreGrpc, apiKey, config.peerTimeoutMs, peers)),
    },
    {
      provide: ArtifactCache,
      inject: [TlsCertificates],
      useFactory: ({ fetch }: TlsCertificates) =>
        new ArtifactCache(
          resolve(config.stateDir, 'serving', 'artifacts'),
          new HttpArtifacts(config.registryHttp, apiKey, config.artifactTimeoutMs, fetch),
        ),
    },
    {
      provide: RoutingFile,
      inject: [Log],
      useFactory: (log: Log) => new RoutingFile(resolve(config.stateDir, 'serving', 'routing.json'), log),
    },
    {
      provide: PredictionLog,
      inject: [KafkaClients, Log, Resources],
      useFactory: (clients: KafkaClients, log: Log, resources: Resources) => {
        const { logFlushMs: flushMs, logBatchRows: batchRows, logPendingRows: pendingRowsMax, logSampleRate: sampleRate } = config;
        return resources.add(
          'prediction log',
          new PredictionLog({ instance, flushMs, batchRows, pendingRowsMax, sampleRate, closeMs }, () => clients.hotProducer(), log),
        );
      },
    },
    {
      provide: RolloutEvents,
      inject: [EventPublisher, Log, Telemetry, Resources],
      useFactory: (publisher: EventPublisher, log: Log, telemetry: Telemetry, resources: Resources) =>
        resources.add('rollout events', new RolloutEvents(publisher, log, closeMs, () => telemetry.rolloutEventLost())),
    },
  ];
}

function app(config: Config): Provider[] {
  return [
    { provide: RouteFinder, useFactory: () => new RouteFinder() },
    { provide: ShadowBook, useFactory: () => new ShadowBook() },
    { provide: PredictionIds, useFactory: () => new PredictionIds(randomBytes(5)) },
    { provide: StatisticsBook, useFactory: () => new StatisticsBook() },
    { provide: Admission, useFactory: () => new Admission(config.requestsMax, config.rowsMax) },
    {
      provide: ModelHost,
      inject: [RouteFinder, ArtifactCache, RoutingFile, RolloutEvents, Telemetry, StatisticsBook],
      useFactory: (
        routes: RouteFinder,
        artifacts: ArtifactCache,
        file: RoutingFile,
        rollouts: RolloutEvents,
        telemetry: Telemetry,
        statistics: StatisticsBook,
      ) =>
        new ModelHost({
          routes,
          logRulesOf: (description) => {
            const rules = compileLogRules(description, config.logHashKey || config.logHashKeyFile);
            telemetry.logRules(description, rules);
            return rules;
          },
          open: async (description, signal) => {
            const parts = await openVersion(description, artifacts, config, signal);
            telemetry.opened(description, parts.runtime);
            return parts;
          },
          memory: { budgetBytes: config.memoryMib * 2 ** 20, keep: config.keepLoaded },
          save: (routing) => file.write(routing),
          report: (change, cause) => {
            telemetry.rollout(change);
            rollouts.say(toEvent(change, config.instance), cause);
          },
          statistics,
          moved: (model, move) => telemetry.moved(model, move),
          nowMs,
        }),
    },
    {
      provide: RegistryFollower,
      inject: [ModelHost, RegistryClient, FeatureViews, Log],
      useFactory: (host: ModelHost, registry: RegistryClient, views: FeatureViews, log: Log) =>
        new RegistryFollower(
          host,
          registry,
          views,
          { projects: config.projects, pollMs: config.pollMs, viewsRefreshMs: VIEWS_REFRESH_MS, nowMs },
          log,
        ),
    },
    {
      provide: StatisticsReport,
      inject: [StatisticsBook, ShadowBook, Siblings],
      useFactory: (book: StatisticsBook, shadows: ShadowBook, siblings: Siblings) => new StatisticsReport(book, shadows, siblings),
    },
    {
      provide: RouteChanges,
      inject: [ModelHost, Siblings],
      useFactory: (host: ModelHost, siblings: Siblings) => new RouteChanges(host, siblings),
    },
    {
      provide: PinnedLoads,
      inject: [RegistryFollower, Siblings],
      useFactory: (follower: RegistryFollower, siblings: Siblings) => new PinnedLoads(follower, siblings),
    },
    {
      provide: RepositoryOrders,
      inject: [ModelHost, RegistryFollower, PinnedLoads, Siblings],
      useFactory: (host: ModelHost, follower: RegistryFollower, pinned: PinnedLoads, siblings: Siblings) =>
        new RepositoryOrders(host, follower, pinned, siblings),
    },
    {
      provide: Predictor,
      inject: [
        RouteFinder,
        Admission,
        PredictionIds,
        RedisClient,
        PredictionLog,
        Telemetry,
        StatisticsBook,
        ShadowBook,
        RegistryFollower,
        ModelHost,
        Resources,
      ],
      useFactory: (
        routes: RouteFinder,
        admission: Admission,
        ids: PredictionIds,
        store: RedisClient,
        log: PredictionLog,
        telemetry: Telemetry,
        statistics: StatisticsBook,
        shadows: ShadowBook,
        follower: RegistryFollower,
        host: ModelHost,
        resources: Resources,
      ) => {
        telemetry.watch(admission, log.account, statistics, shadows);
        telemetry.watchMemory(() => host.residentBytes);
        const refreshViews = (projects: ReadonlySet<string>): Promise<boolean> => follower.refreshViews(projects);
        const predictor = new Predictor({
          routes,
          admission,
          ids,
          store,
          log,
          unrouted: statistics.unrouted,
          shadows,
          lookedUp: (outcome) => telemetry.lookedUp(outcome),
          refreshViews,
          nowMs,
          after: (delayMs, ring) => void setTimeout(ring, delayMs),
        });
        // Resources close in reverse order: the last answers go out, then the models, then the log that tells of them, then the connections.
        resources.add('models', { close: () => Promise.resolve(host.abandonAll()) });
        resources.add('predictor', { close: () => predictor.drain(config.shutdownTimeoutMs) });
        return predictor;
      },
    },
    {
      provide: TensorInference,
      inject: [RouteFinder, Admission, PredictionIds, PredictionLog, StatisticsBook],
      useFactory: (routes: RouteFinder, admission: Admission, ids: PredictionIds, log: PredictionLog, { unrouted }: StatisticsBook) =>
        new TensorInference({ routes, admission, ids, log, unrouted, nowMs }),
    },
  ];
}

/** An unknown blob layout makes serving ask the feature store for its views, at most this often. */
const VIEWS_REFRESH_MS = 5_000;

function toEvent({ step, model, previousVersion, detail }: RolloutStep, instance: string): Parameters<RolloutEvents['say']>[0] {
  return { project: model.project, model: model.model, version: model.version, step, detail, previousVersion, instance, at: new Date() };
}
