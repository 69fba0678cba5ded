import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { KAFKA_VERSION } from './kafka/find-kafka.js';
import { newKafkaId, withNewIds } from './kafka/format-log-folder.js';
import { serverProperties } from './kafka/server-properties.js';
import { postgresSettings } from './postgres/start-postgres.js';
import { redisConfig } from './redis/start-redis.js';

it('writes the server.properties of one KRaft node', () => {
  expect(serverProperties({ port: 29092, controllerPort: 29093, dataDir: '/state/engines/kafka/data' })).toBe(
    `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:29093
listeners=PLAINTEXT://127.0.0.1:29092,CONTROLLER://127.0.0.1:29093
advertised.listeners=PLAINTEXT://127.0.0.1:29092
controller.listener.names=CONTROLLER
log.dirs=/state/engines/kafka/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
auto.create.topics.enable=false
message.max.bytes=8388608
replica.fetch.max.bytes=8388608
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
log.index.size.max.bytes=1048576
`,
  );
});

it('gives each formatted folder ids of its own and leaves the rest of meta.properties alone', () => {
  const template =
    '#\n#Sat Nov 21 11:21:57 UTC 2026\nnode.id=1\ndirectory.id=s_eLS_ZPyI7cqCXO3RnNdg\nversion=1\ncluster.id=2Jav8FItd8kujSGMnybu5g\n';
  const made = withNewIds(template);
  expect(made.replaceAll(/=[\w-]{22}$/gm, '=ID')).toBe(
    '#\n#Sat Nov 21 11:21:57 UTC 2026\nnode.id=1\ndirectory.id=ID\nversion=1\ncluster.id=ID\n',
  );
  expect(withNewIds(template)).not.toBe(made);
});

it('makes ids that Kafka reads as ids, never as options', () => {
  for (let at = 0; at < 1_000; at++) expect(newKafkaId()).toMatch(/^[A-Za-z0-9_][A-Za-z0-9_-]{21}$/);
});

it('fetches the version of Kafka that it talks about', () => {
  const pom = readFileSync(new URL('../kafka/pom.xml', import.meta.url), 'utf8');
  expect(pom).toContain(`<artifactId>kafka_2.13</artifactId>\n      <version>${KAFKA_VERSION}</version>`);
});

it('lets Redis refuse writes rather than forget rows, and keeps a file only when durable', () => {
  expect(redisConfig(26379, '/state/engines/redis/data', true)).toBe(
    'bind 127.0.0.1\nprotected-mode yes\nport 26379\ndir "/state/engines/redis/data"\ndaemonize no\ndatabases 64\nsave ""\nappendonly yes\nappendfsync everysec\nmaxmemory-policy noeviction\n',
  );
  expect(redisConfig(1, '/x', false)).toContain('appendonly no\n');
});

it('lets Postgres forget nothing unless it is told to, and listen to this machine alone', () => {
  const durable = postgresSettings(25432, true);
  expect(durable).toMatchObject({
    listen_addresses: '127.0.0.1',
    port: '25432',
    fsync: 'on',
    synchronous_commit: 'on',
    full_page_writes: 'on',
    max_connections: '200',
  });
  expect(postgresSettings(25432, false)).toMatchObject({
    listen_addresses: '127.0.0.1',
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
  });
});
