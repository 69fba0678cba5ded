import type { Counter, Gauge } from 'prom-client';
import type { Telemetry } from '../telemetry.js';

export interface OutboxMetrics {
  readonly relayed: Counter<'topic'>;
  readonly waiting: Gauge;
  readonly refused: Gauge;
  readonly oldestSeconds: Gauge;
}

const made = new WeakMap<Telemetry, OutboxMetrics>();

export function outboxMetrics(telemetry: Telemetry): OutboxMetrics {
  let metrics = made.get(telemetry);
  if (!metrics) made.set(telemetry, (metrics = make(telemetry)));
  return metrics;
}

const make = (telemetry: Telemetry): OutboxMetrics => ({
  relayed: telemetry.counter({
    name: 'headrace_outbox_relayed_total',
    help: 'Outbox rows that the brokers acknowledged',
    labels: ['topic'],
  }),
  waiting: telemetry.gauge({ name: 'headrace_outbox_waiting', help: 'Outbox rows that wait for the relay (counted up to 100,000)' }),
  refused: telemetry.gauge({ name: 'headrace_outbox_refused', help: 'Outbox rows that the broker will never take; they need a person' }),
  oldestSeconds: telemetry.gauge({ name: 'headrace_outbox_oldest_seconds', help: 'Age of the oldest waiting outbox row' }),
});
