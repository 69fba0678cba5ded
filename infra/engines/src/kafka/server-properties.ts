/** What one broker node needs to know; everything else is fixed below. */
export interface BrokerSettings {
  readonly port: number;
  readonly controllerPort: number;
  readonly dataDir: string;
}

/** Largest record batch, in bytes: a batch of predictions or a dead letter with its original bytes fits. */
export const MESSAGE_MAX_BYTES = 8 * 1024 * 1024;

/** server.properties of one KRaft node that is broker and controller at once. */
export function serverProperties(settings: BrokerSettings): string {
  const properties: Record<string, string | number> = {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@127.0.0.1:${settings.controllerPort}`,
    listeners: `PLAINTEXT://127.0.0.1:${settings.port},CONTROLLER://127.0.0.1:${settings.controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${settings.port}`,
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': settings.dataDir,
    // One node: nothing can be replicated.
    'offsets.topic.replication.factor': 1,
    'offsets.topic.num.partitions': 4,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'transaction.state.log.num.partitions': 4,
    'share.coordinator.state.topic.replication.factor': 1,
    'share.coordinator.state.topic.min.isr': 1,
    'share.coordinator.state.topic.num.partitions': 1,
    // Topics are declared in the event catalog; a typing error must not make one.
    'auto.create.topics.enable': 'false',
    'message.max.bytes': MESSAGE_MAX_BYTES,
    'replica.fetch.max.bytes': MESSAGE_MAX_BYTES,
    // The first member of a group starts at once instead of waiting 3 s for others.
    'group.initial.rebalance.delay.ms': 0,
    // After a kill -9 the old registration must expire first: 3 s instead of 9 s halves the recovery (measured: 6.4 s against 12.3 s).
    'broker.session.timeout.ms': 3000,
    'broker.heartbeat.interval.ms': 500,
    // The defaults are for a server with many cores and gigabytes; the cleaner alone would take half of a 256 MB heap.
    'num.network.threads': 2,
    'num.io.threads': 4,
    'log.cleaner.dedupe.buffer.size': 16 * 1024 * 1024,
    'log.index.size.max.bytes': 1024 * 1024,
  };
  return `${Object.entries(properties)
    .map(([key, value]) => `${key}=${escapeValue(String(value))}`)
    .join('\n')}\n`;
}

/** Java properties treat a backslash as an escape (Windows paths). */
function escapeValue(value: string): string {
  return value.replaceAll('\\', '\\\\');
}

/** Log4j 2: to standard output, which goes to server.log; quiet below INFO for what says something and WARN for what talks. */
export function log4jConfig(): string {
  return `Configuration:
  Appenders:
    Console: { name: STDOUT, PatternLayout: { pattern: "%d{ISO8601} %p %c{1} - %m%n" } }
  Loggers:
    Logger:
      - { name: kafka, level: INFO }
    Root: { level: WARN, AppenderRef: { ref: STDOUT } }
`;
}
