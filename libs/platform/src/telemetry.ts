import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, type Attributes, type Context, type Span, type Tracer } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, ParentBasedSampler, TraceIdRatioBasedSampler, TracerProvider } from '@opentelemetry/sdk-trace';
import { messageOf } from '@headrace/base/errors';
import { AsyncLocalStorage } from 'node:async_hooks';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry, type Metric } from 'prom-client';
import { formatTraceparent, newTraceparent, parseTraceparent } from './trace-context.js';

interface Named<L extends string> {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly L[];
}

export interface CollectedMetric extends Pick<Named<never>, 'name' | 'help'> {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly read: () => readonly MetricSample[];
}

export interface MetricSample {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  /** Of the series where it differs from the metric's, as `..._bucket` does. */
  readonly metricName?: string;
}

/** From half a millisecond to ten seconds; seconds, as Prometheus wants base units. */
export const LATENCY_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/**
 * Metrics and traces of one service. Metrics always; spans only with an OTLP endpoint: without one a span costs a function
 * call and nothing leaves the process. The current trace travels in an AsyncLocalStorage of our own, so that events and
 * calls made inside `span` carry the right `traceparent` with or without an exporter.
 */
export class Telemetry {
  readonly registry = new Registry();
  readonly #traceparents = new AsyncLocalStorage<string>();
  readonly #provider: TracerProvider | undefined;
  readonly #tracer: Tracer | undefined;
  readonly #service: string;

  constructor(options: {
    readonly service: string;
    readonly instance: string;
    readonly otlpEndpoint: string;
    readonly sampleRatio: number;
  }) {
    this.#service = options.service;
    this.registry.setDefaultLabels({ service: options.service });
    collectDefaultMetrics({ register: this.registry });
    if (!options.otlpEndpoint) return;
    this.#provider = new TracerProvider({
      resource: resourceFromAttributes({ 'service.name': `headrace-${options.service}`, 'service.instance.id': options.instance }),
      sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(options.sampleRatio) }),
      spanProcessors: [
        new BatchSpanProcessor({ exporter: new OTLPTraceExporter({ url: `${options.otlpEndpoint.replace(/\/$/, '')}/v1/traces` }) }),
      ],
    });
    this.#tracer = this.#provider.getTracer('headrace');
  }

  counter<L extends string = never>({ name, help, labels = [] }: Named<L>): Counter<L> {
    return new Counter({ name, help, labelNames: [...labels], registers: [this.registry] });
  }

  gauge<L extends string = never>({ name, help, labels = [] }: Named<L>): Gauge<L> {
    return new Gauge({ name, help, labelNames: [...labels], registers: [this.registry] });
  }

  histogram<L extends string = never>({
    name,
    help,
    labels = [],
    buckets = LATENCY_BUCKETS,
  }: Named<L> & { readonly buckets?: readonly number[] }): Histogram<L> {
    return new Histogram({ name, help, labelNames: [...labels], buckets: [...buckets], registers: [this.registry] });
  }

  /** A metric whose values are kept elsewhere and read when Prometheus asks: for paths on which an `inc` or `observe` costs too much. */
  collected({ name, help, type, read }: CollectedMetric): void {
    const metric = { name, get: () => Promise.resolve({ name, help, type, values: read(), aggregator: 'sum' }) };
    // The registry asks of a metric no more than these two; its type names the four classes only.
    this.registry.registerMetric(metric as unknown as Metric);
  }

  /** Runs `work` inside a span. @param parent traceparent of the caller or of the causing event; unset = the current one. */
  async span<T>(name: string, attributes: Attributes, work: (span: Span | undefined) => Promise<T>, parent?: string): Promise<T> {
    const parentText = parent || this.#traceparents.getStore();
    if (!this.#tracer) return this.#traceparents.run(parseTraceparent(parentText) ? parentText! : newTraceparent(), () => work(undefined));
    const span = this.#tracer.startSpan(name, { attributes, kind: SpanKind.INTERNAL }, toContext(parentText));
    const { traceId, spanId, traceFlags } = span.spanContext();
    return this.#traceparents.run(formatTraceparent({ traceId, spanId, sampled: (traceFlags & 1) === 1 }), async () => {
      try {
        return await work(span);
      } catch (error) {
        span.setStatus({ code: SpanStatusCode.ERROR, message: messageOf(error) });
        throw error;
      } finally {
        span.end();
      }
    });
  }

  /** Runs `work` as part of the caller's trace, or of a new one, without a span of its own. */
  runIn<T>(parent: string | undefined, work: () => T): T {
    return this.#traceparents.run(parent && parseTraceparent(parent) ? parent : newTraceparent(), work);
  }

  /** The trace that the running code belongs to; '' outside of any. */
  currentTraceparent(): string {
    return this.#traceparents.getStore() ?? '';
  }

  /** One of several processes behind the same port: its series are told apart by the label `process`. */
  labelProcess(process: string): void {
    this.registry.setDefaultLabels({ service: this.#service, process });
  }

  metricsText(): Promise<string> {
    return this.registry.metrics();
  }

  /** Sends what is buffered; bounded by the exporter's own timeout. */
  async close(): Promise<void> {
    await this.#provider?.shutdown();
    this.registry.clear();
  }
}

function toContext(traceparent: string | undefined): Context {
  const parent = parseTraceparent(traceparent);
  if (!parent) return ROOT_CONTEXT;
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId: parent.traceId,
    spanId: parent.spanId,
    traceFlags: parent.sampled ? 1 : 0,
    isRemote: true,
  });
}
