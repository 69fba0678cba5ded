import { HeadraceClient } from '@headrace/client/client';
import { FeatureStoreDefinition } from '@headrace/contracts/features/v1/features';
import { MonitorDefinition } from '@headrace/contracts/monitoring/v1/monitoring';
import { RegistryDefinition } from '@headrace/contracts/registry/v1/registry';
import { ServingAdminDefinition } from '@headrace/contracts/serving/v1/serving';
import { TrainerDefinition } from '@headrace/contracts/training/v1/training';
import { createClient, type Client, type ClientOptions } from '@headrace/platform/grpc/client';
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
}

/** Everything that a user of the platform holds: typed clients of the five services and a Kafka producer. */
export interface Connections {
  readonly project: string;
  readonly features: Client<typeof FeatureStoreDefinition>;
  readonly registry: Client<typeof RegistryDefinition>;
  readonly trainer: Client<typeof TrainerDefinition>;
  readonly monitor: Client<typeof MonitorDefinition>;
  readonly serving: Client<typeof ServingAdminDefinition>;
  readonly prediction: HeadraceClient;
  readonly events: EventPublisher;
  close(): Promise<void>;
}

/** Generous: this machine also trains a model while it answers. */
const PREDICT_TIMEOUT_MS = 5_000;

export function connect(site: Site): Connections {
  const { tls } = site;
  const options = { ...(site.apiKey ? { apiKey: site.apiKey } : {}), tls, defaultTimeoutMs: 60_000 };
  const telemetry = new Telemetry({ service: 'example', instance: 'employment', otlpEndpoint: '', sampleRatio: 0 });
  const kafka = new KafkaClients(
    { brokers: site.kafkaBrokers, client: 'auto', clientId: 'example-employment' },
    Log.create('example', 'warn'),
  );
  const connections = {
    project: site.project,
    features: createClient(FeatureStoreDefinition, site.grpc['feature-store'], options),
    registry: createClient(RegistryDefinition, site.grpc.registry, options),
    trainer: createClient(TrainerDefinition, site.grpc.trainer, options),
    monitor: createClient(MonitorDefinition, site.grpc.monitor, options),
    serving: createClient(ServingAdminDefinition, site.grpc.serving, options),
    prediction: new HeadraceClient({
      address: site.grpc.serving,
      project: site.project,
      timeoutMs: PREDICT_TIMEOUT_MS,
      ...(site.apiKey ? { apiKey: site.apiKey } : {}),
      ...(tls ? { tls: tls.material } : {}),
    }),
    events: new EventPublisher(
      { producer: () => kafka.hotProducer(), ensureTopics: (topics) => kafka.ensureTopics(topics) },
      '/headrace/examples/employment',
      telemetry,
    ),
  };
  return {
    ...connections,
    close: async () => {
      for (const client of [connections.features, connections.registry, connections.trainer, connections.monitor, connections.serving])
        client.close();
      connections.prediction.close();
      await kafka.close();
      await telemetry.close();
    },
  };
}
