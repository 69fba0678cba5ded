import type { Counter, Gauge, Histogram } from 'prom-client';
import type { Telemetry } from '../telemetry.js';

export interface KafkaMetrics {
  readonly published: Counter<'topic'>;
  readonly handled: Counter<'topic' | 'group' | 'outcome'>;
  readonly batchSeconds: Histogram<'topic' | 'group'>;
  readonly lag: Gauge<'topic' | 'group' | 'partition'>;
  readonly blocked: Gauge<'topic' | 'group'>;
  readonly consumerRestarts: Counter<'topic' | 'group'>;
}

const made = new WeakMap<Telemetry, KafkaMetrics>();

/** One set for each telemetry: a registry refuses a second metric of the same name, and a service has many runners. */
export function kafkaMetrics(telemetry: Telemetry): KafkaMetrics {
  let metrics = made.get(telemetry);
  if (!metrics) made.set(telemetry, (metrics = make(telemetry)));
  return metrics;
}

const make = (telemetry: Telemetry): KafkaMetrics => ({
  published: telemetry.counter({
    name: 'headrace_events_published_total',
    help: 'Events that the brokers acknowledged',
    labels: ['topic'],
  }),
  handled: telemetry.counter({
    name: 'headrace_events_handled_total',
    help: 'Events by what became of them: done, skipped, dead, or retried (counted once a try)',
    labels: ['topic', 'group', 'outcome'],
  }),
  batchSeconds: telemetry.histogram({
    name: 'headrace_events_batch_seconds',
    help: 'Time that one call of a handler took',
    labels: ['topic', 'group'],
  }),
  lag: telemetry.gauge({
    name: 'headrace_events_lag',
    help: 'Events that the group has not committed yet',
    labels: ['topic', 'group', 'partition'],
  }),
  blocked: telemetry.gauge({
    name: 'headrace_events_blocked',
    help: '1 while a handler waits for a dependency that is away',
    labels: ['topic', 'group'],
  }),
  consumerRestarts: telemetry.counter({
    name: 'headrace_events_consumer_restarts_total',
    help: 'Consumers that ended by an error and were opened anew',
    labels: ['topic', 'group'],
  }),
});
