import { systemClock, type Clock } from '@headrace/base/clock';
import type { ServiceName } from '@headrace/events/catalog';
import { Global, Module, type DynamicModule, type Provider } from '@nestjs/common';
import type { PlatformConfig } from './config.js';
import { KafkaClients } from './kafka/kafka-clients.js';
import { EventPublisher } from './kafka/publisher.js';
import { Log } from './log.js';
import { OutboxRelay } from './postgres/outbox.js';
import { Postgres } from './postgres/postgres.js';
import { RedisClient } from './redis/redis.js';
import { Resources } from './resources.js';
import { Telemetry } from './telemetry.js';
import { TlsCertificates } from './tls/tls-certificates.js';

/** Injection token of the `Clock`: `constructor(@Inject(CLOCK) clock: Clock)`. */
export const CLOCK = Symbol('clock');

export interface PlatformNeeds {
  readonly postgres?: boolean;
  readonly redis?: boolean;
  readonly kafka?: boolean;
}

/** What every service stands on, by class token. A service names its needs, so that none opens a connection that it does not use. */
@Global()
@Module({})
export class PlatformModule {
  static forRoot(name: ServiceName, config: PlatformConfig, needs: PlatformNeeds = {}, clock: Clock = systemClock): DynamicModule {
    const providers: Provider[] = [
      { provide: CLOCK, useValue: clock },
      { provide: Resources, useFactory: () => new Resources() },
      { provide: Log, useFactory: () => Log.create(name, config.logLevel, config.instance) },
      {
        provide: Telemetry,
        useFactory: () =>
          new Telemetry({
            service: name,
            instance: config.instance,
            otlpEndpoint: config.otlpEndpoint,
            sampleRatio: config.traceSampleRatio,
          }),
      },
      {
        provide: TlsCertificates,
        inject: [Log, Telemetry, Resources],
        useFactory: (log: Log, telemetry: Telemetry, resources: Resources) =>
          resources.add('certificates', new TlsCertificates(config, config.tlsReloadMs, log, telemetry)),
      },
    ];
    if (needs.postgres) providers.push(postgresProvider(name, config));
    if (needs.redis) providers.push(redisProvider(name, config));
    if (needs.postgres && needs.kafka) providers.push(relayProvider());
    if (needs.kafka) providers.push(...kafkaProviders(name, config, clock));
    return { module: PlatformModule, providers, exports: providers.map((provider) => (provider as { provide: symbol }).provide) };
  }
}

function postgresProvider(name: ServiceName, config: PlatformConfig): Provider {
  return {
    provide: Postgres,
    inject: [Log, Resources],
    useFactory: (log: Log, resources: Resources) =>
      resources.add('postgres', new Postgres({ url: config.postgresUrl, poolMax: config.postgresPool, name: `headrace-${name}` }, log)),
  };
}

function redisProvider(name: ServiceName, config: PlatformConfig): Provider {
  return {
    provide: RedisClient,
    inject: [Log, Resources],
    useFactory: (log: Log, resources: Resources) =>
      resources.add('redis', new RedisClient({ url: config.redisUrl, name: `headrace-${name}` }, log)),
  };
}

/** A `Background` that the service starts: facts that follow from its writes leave through it. */
function relayProvider(): Provider {
  return {
    provide: OutboxRelay,
    inject: [Postgres, KafkaClients, Telemetry, Log],
    useFactory: (postgres: Postgres, clients: KafkaClients, telemetry: Telemetry, log: Log) =>
      new OutboxRelay(postgres, clients, telemetry, log),
  };
}

function kafkaProviders(name: ServiceName, config: PlatformConfig, clock: Clock): Provider[] {
  return [
    {
      provide: KafkaClients,
      inject: [Log, Resources],
      useFactory: (log: Log, resources: Resources) => {
        const { kafkaBrokers: brokers, kafkaClient: client, topicPrefix } = config;
        return resources.add('kafka', new KafkaClients({ brokers, client, clientId: `${name}-${config.instance}`, topicPrefix }, log));
      },
    },
    {
      provide: EventPublisher,
      inject: [KafkaClients, Telemetry],
      useFactory: (clients: KafkaClients, telemetry: Telemetry) => new EventPublisher(clients, `/headrace/${name}`, telemetry, clock),
    },
  ];
}
