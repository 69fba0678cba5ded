import { assert } from '@headrace/base/assert';
import { AppError } from '@headrace/base/errors';
import type { Log } from '../log.js';
import type { Background } from '../service.js';
import type { Telemetry } from '../telemetry.js';
import { BatchHandler } from './batch-handler.js';
import type { ConsumerOptions, EventConsumer, TopicAdmin } from './client.js';
import { kafkaMetrics } from './metrics.js';
import type { EventPublisher } from './publisher.js';
import type { Subscription } from './subscription.js';
import { Supervisor } from './supervisor.js';

export { subscribe } from './subscription.js';
export type { BatchContext, Quarantined, Received, RetryPolicy, SubscribeOptions, Subscription, Verdict } from './subscription.js';

export interface EventRunnerOptions {
  readonly subscriptions: readonly Subscription[];
  readonly name?: string;
  /** `start` waits this long for the groups; without a broker the service starts all the same and joins later. Default 5,000. */
  readonly startWaitMs?: number;
  /** Longest wait of `stop` for the batches in hand; then the handlers' signal aborts. Default 10,000. */
  readonly stopWaitMs?: number;
  /** How often the lag is read. Default 10,000. */
  readonly lagEveryMs?: number;
}

export interface RunnerClients {
  consumer(options: ConsumerOptions): EventConsumer;
  admin(): TopicAdmin;
}

/** After its signal aborted a handler has this long to come back. */
const ABORT_GRACE_MS = 5_000;

/**
 * Runs the event handlers of a service: batches in partition order, bounded retries, the one poison event isolated and
 * dead-lettered, offsets committed only when all of that is done. Survives the broker, and never loses an event silently.
 */
export class EventRunner implements Background {
  readonly name: string;
  readonly #clients: RunnerClients;
  readonly #telemetry: Telemetry;
  readonly #log: Pick<Log, 'info' | 'warn' | 'error'>;
  readonly #options: Required<Omit<EventRunnerOptions, 'name'>>;
  readonly #supervisors: readonly Supervisor[];
  readonly #stopping = new AbortController();
  readonly #abort = new AbortController();
  #lagTimer: NodeJS.Timeout | undefined;
  #lagReading: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;

  constructor(
    clients: RunnerClients,
    publisher: Pick<EventPublisher, 'send'>,
    telemetry: Telemetry,
    log: Pick<Log, 'info' | 'warn' | 'error'>,
    options: EventRunnerOptions,
  ) {
    this.name = options.name ?? 'event runner';
    this.#clients = clients;
    this.#telemetry = telemetry;
    this.#log = log;
    const groups = options.subscriptions.map((subscription) => subscription.group);
    // The members of one group must read the same topics: else partitions are dealt to members that do not read them, and wait for ever.
    assert(new Set(groups).size === groups.length, `each subscription has a group of its own, got ${groups.join(', ')}`);
    this.#options = { startWaitMs: 5_000, stopWaitMs: 10_000, lagEveryMs: 10_000, ...options };
    this.#supervisors = options.subscriptions.map((subscription) =>
      this.#supervise(
        subscription,
        new BatchHandler(subscription, { publisher, telemetry, log, stopping: this.#stopping.signal, abort: this.#abort.signal }),
      ),
    );
  }

  async start(): Promise<void> {
    await Promise.all(this.#supervisors.map((supervisor) => supervisor.start(this.#options.startWaitMs)));
    this.#lagTimer = setInterval(() => (this.#lagReading = this.#lagReading.then(() => this.#readLag())), this.#options.lagEveryMs);
  }

  /** The batches in hand are finished and committed, then the members leave their groups. Bounded, safe to call twice. */
  stop(): Promise<void> {
    return (this.#stopped ??= this.#stop());
  }

  async #stop(): Promise<void> {
    this.#stopping.abort();
    clearInterval(this.#lagTimer);
    const { stopWaitMs } = this.#options;
    const impatience = setTimeout(() => this.#abort.abort(new AppError('CANCELLED', 'the process is shutting down')), stopWaitMs);
    try {
      await Promise.all(this.#supervisors.map((supervisor) => supervisor.stop(stopWaitMs + ABORT_GRACE_MS)));
      await this.#lagReading;
    } finally {
      clearTimeout(impatience);
    }
  }

  #supervise({ type, group, from, concurrency, sessionTimeoutMs }: Subscription, handler: BatchHandler): Supervisor {
    const labels = { topic: type.topic, group };
    const open = async (): Promise<EventConsumer> => {
      await this.#clients.admin().ensureTopics([type]);
      return this.#clients.consumer({
        topic: type.topic,
        group,
        from,
        concurrency,
        sessionTimeoutMs,
        onBatch: (batch) => handler.onBatch(batch),
      });
    };
    return new Supervisor(open, {
      onJoined: () => this.#log.info('consumer joined', labels),
      onLost: (error, delayMs) => {
        kafkaMetrics(this.#telemetry).consumerRestarts.inc(labels);
        this.#log.warn('consumer lost; opening another', { ...labels, error, delayMs: Math.round(delayMs) });
      },
      onStuck: () => this.#log.error('consumer did not stop in time; its events in hand come again after the next start', labels),
    });
  }

  async #readLag(): Promise<void> {
    const { lag } = kafkaMetrics(this.#telemetry);
    for (const { type, group } of this.#options.subscriptions) {
      if (this.#stopping.signal.aborted) return;
      try {
        for (const { partition, lag: events } of await this.#clients.admin().lag(group, type.topic)) {
          lag.set({ topic: type.topic, group, partition: String(partition) }, Number(events));
        }
      } catch (error) {
        this.#log.warn('the lag could not be read', { topic: type.topic, group, error });
      }
    }
  }
}
