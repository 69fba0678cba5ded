import { HeadraceClient } from '@headrace/client/client';
import { FeatureStoreDefinition } from '@headrace/contracts/features/v1/features';
import { MonitorDefinition } from '@headrace/contracts/monitoring/v1/monitoring';
import { RegistryDefinition } from '@headrace/contracts/registry/v1/registry';
import { ServingAdminDefinition } from '@headrace/contracts/serving/v1/serving';
import { TrainerDefinition } from '@headrace/contracts/training/v1/training';
import { createClient, type Client, type ClientOptions } from '@headrace/platform/grpc/client';
import { fetchOver, type Fetch } from '@headrace/platform/http/fetch';
import { KafkaClients } from '@headrace/platform/kafka/kafka-clients';
import { EventPublisher } from '@headrace/platform/kafka/publisher';
import { Log } from '@headrace/platform/log';
import { Telemetry } from '@headrace/platform/telemetry';

/** Where a running Headrace is. */
export interface Site {
  readonly project: string;
  readonly kafkaBrokers: readonly string[];
  readonly apiKey: string;
  /** For addresses with `https://`; default: the authorities that Node trusts. */
  readonly tls?: ClientOptions<typeof RegistryDefinition>['tls'];
  /** `host:port` of each gRPC door, or `https://host:port`. */
  readonly grpc: Readonly<Record<'feature-store' | 'registry' | 'trainer' | 'serving' | 'monitor', string>>;
  /** Base address of the feature store's HTTP door. */
  readonly featuresUrl: string;
}

export interface Connections extends Pick<Site, 'project' | 'featuresUrl' | 'apiKey'> {
  readonly features: Client<typeof FeatureStoreDefinition>;
  readonly registry: Client<typeof RegistryDefinition>;
  readonly trainer: Client<typeof TrainerDefinition>;
  readonly serving: Client<typeof ServingAdminDefinition>;
  readonly prediction: HeadraceClient;
  readonly monitor: Client<typeof MonitorDefinition>;
  readonly events: EventPublisher;
  readonly kafka: KafkaClients;
  /** For the HTTP door. */
  readonly fetch: Fetch;
  /** Of all views of the project. */
  offlineRows(): Promise<number>;
  close(): Promise<void>;
}

/** A training set over many windows takes its time. */
const CALL_TIMEOUT_MS = 300_000;
const PREDICT_TIMEOUT_MS = 5_000;

export function connect({ project, kafkaBrokers, apiKey, grpc, featuresUrl, tls }: Site): Connections {
  const options = { ...(apiKey ? { apiKey } : {}), tls, defaultTimeoutMs: CALL_TIMEOUT_MS };
  const telemetry = new Telemetry({ service: 'example', instance: 'flights', otlpEndpoint: '', sampleRatio: 0 });
  const kafka = new KafkaClients({ brokers: kafkaBrokers, client: 'auto', clientId: 'example-flights' }, Log.create('example', 'warn'));
  const clients = {
    features: createClient(FeatureStoreDefinition, grpc['feature-store'], options),
    registry: createClient(RegistryDefinition, grpc.registry, options),
    trainer: createClient(TrainerDefinition, grpc.trainer, options),
    monitor: createClient(MonitorDefinition, grpc.monitor, options),
    serving: createClient(ServingAdminDefinition, grpc.serving, options),
    prediction: new HeadraceClient({
      ...{ address: grpc.serving, project, timeoutMs: PREDICT_TIMEOUT_MS },
      ...(apiKey ? { apiKey } : {}),
      ...(tls ? { tls: tls.material } : {}),
    }),
  };
  return {
    ...{ project, featuresUrl, apiKey },
    ...clients,
    kafka,
    fetch: tls ? fetchOver(tls) : fetch,
    offlineRows: async () => (await clients.features.listViews({ project })).views.reduce((sum, view) => sum + view.offlineRows, 0),
    events: new EventPublisher(
      { producer: () => kafka.hotProducer(), ensureTopics: (topics) => kafka.ensureTopics(topics) },
      '/headrace/examples/flights',
      telemetry,
    ),
    close: async () => {
      for (const client of Object.values(clients)) client.close();
      await kafka.close();
      await telemetry.close();
    },
  };
}
