import { sleep } from '@headrace/base/clock';
import { AppError, messageOf } from '@headrace/base/errors';
import { CATALOG } from '@headrace/events/catalog';
import type { EventProducer } from '../kafka/client.js';
import { backoffMs } from '../kafka/deliver.js';
import type { TopicOwner } from '../kafka/topics.js';
import type { Log } from '../log.js';
import type { Background } from '../service.js';
import type { Telemetry } from '../telemetry.js';
import { forgetOldClaims } from './inbox.js';
import { outboxMetrics } from './outbox-metrics.js';
import { OUTBOX_CHANNEL, readBacklog, readWaiting, refuse, removeSent, takeRelayLock, type WaitingRecord } from './outbox-store.js';
import type { Postgres } from './postgres.js';
import { Session } from './session.js';
import { toPostgresError } from './errors.js';

export { enqueue } from './outbox-store.js';

export interface RelayClients {
  producer(): EventProducer;
  ensureTopics(events: readonly TopicOwner[]): Promise<void>;
}

export interface OutboxRelayOptions {
  /** Most rows in one send; default 500. */
  readonly batchMax?: number;
  /** NOTIFY wakes the relay at once; this poll is for the one that got lost, and for a standby to take over. Default 1,000. */
  readonly pollMs?: number;
  /** Backlog metric and inbox clean-up; default 15,000. */
  readonly housekeepingMs?: number;
}

const RECONNECT = { initialDelayMs: 100, maxDelayMs: 5_000 };

/**
 * Moves the outbox to Kafka in the order of its rows. Any number of processes may run it: one holds the lock and relays, the
 * others stand by and take over when its session ends. Rows are deleted after the brokers acknowledged them, so a crash
 * in between sends some again (at least once), and never loses one. Database and broker may come and go.
 */
export class OutboxRelay implements Background {
  readonly name = 'outbox relay';
  readonly #postgres: Postgres;
  readonly #clients: RelayClients;
  readonly #telemetry: Telemetry;
  readonly #log: Pick<Log, 'info' | 'warn' | 'error'>;
  readonly #options: Required<OutboxRelayOptions>;
  readonly #stopping = new AbortController();
  #wake: () => void = () => undefined;
  #loops: Promise<unknown> = Promise.resolve();

  constructor(
    postgres: Postgres,
    clients: RelayClients,
    telemetry: Telemetry,
    log: Pick<Log, 'info' | 'warn' | 'error'>,
    options: OutboxRelayOptions = {},
  ) {
    this.#postgres = postgres;
    this.#clients = clients;
    this.#telemetry = telemetry;
    this.#log = log;
    this.#options = { batchMax: 500, pollMs: 1_000, housekeepingMs: 15_000, ...options };
  }

  start(): Promise<void> {
    this.#loops = Promise.all([this.#keepRelaying(), this.#keepHouse()]);
    return Promise.resolve();
  }

  /** The send in hand ends and its rows are deleted; nothing else. Rows that wait stay for the next start. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake();
    await this.#loops;
  }

  async #keepRelaying(): Promise<void> {
    for (let failures = 0; !this.#stopped;) {
      try {
        await this.#withSession(async (session) => {
          failures = 0;
          await this.#relayWhileMine(session);
        });
      } catch (error) {
        const delayMs = backoffMs(++failures, RECONNECT);
        this.#log.warn('outbox relay interrupted; its rows wait', { error, delayMs: Math.round(delayMs) });
        await sleep(delayMs, this.#stopping.signal).catch(() => undefined);
      }
    }
  }

  /** The session carries LISTEN and the lock, and every statement of the relay: if it dies, a row is never deleted by mistake. */
  async #withSession(work: (session: Session) => Promise<void>): Promise<void> {
    const client = await this.#postgres.dedicated();
    client.on('notification', () => this.#wake());
    client.on('end', () => this.#wake());
    try {
      const session = new Session(client);
      await session.execute(`LISTEN ${OUTBOX_CHANNEL}`);
      await work(session);
    } catch (error) {
      throw toPostgresError(error);
    } finally {
      await client.end().catch(() => undefined); // gone already
    }
  }

  async #relayWhileMine(session: Session): Promise<void> {
    for (let mine = false, failures = 0; !this.#stopped;) {
      if (!mine && (mine = await takeRelayLock(session))) this.#log.info('outbox relay is active');
      // Armed before the look at the table: a row that commits in between wakes us.
      const woken = this.#nextWake();
      const rows = mine ? await readWaiting(session, this.#options.batchMax) : [];
      if (rows.length === 0) {
        await woken;
        continue;
      }
      try {
        await this.#send(session, rows);
        failures = 0;
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        const delayMs = backoffMs(++failures, RECONNECT);
        this.#log.warn('outbox relay cannot reach Kafka; its rows wait', {
          reason: error.message,
          rows: rows.length,
          delayMs: Math.round(delayMs),
        });
        await sleep(delayMs, this.#stopping.signal).catch(() => undefined);
      }
    }
  }

  async #send(session: Session, rows: readonly WaitingRecord[]): Promise<void> {
    const topics = new Set(rows.map((row) => row.topic));
    await this.#clients.ensureTopics(CATALOG.filter(({ topic }) => topics.has(topic)));
    try {
      await this.#clients.producer().send(rows);
    } catch (error) {
      if (!isTooLarge(error)) throw error;
      if (rows.length > 1) for (const row of rows) await this.#send(session, [row]);
      else await this.#park(session, rows[0]!, error);
      return;
    }
    await removeSent(
      session,
      rows.map((row) => row.id),
    );
    for (const { topic } of rows) outboxMetrics(this.#telemetry).relayed.inc({ topic });
  }

  /** The broker will never take it: it stays in the table for a person, and the rest goes on. */
  async #park(session: Session, row: WaitingRecord, error: unknown): Promise<void> {
    await refuse(session, row.id, messageOf(error));
    this.#log.error('outbox row refused by the broker; it stays in platform_outbox', {
      id: row.id,
      topic: row.topic,
      key: row.key,
      reason: messageOf(error),
    });
  }

  async #keepHouse(): Promise<void> {
    const metrics = outboxMetrics(this.#telemetry);
    while (!this.#stopped) {
      try {
        const { waiting, refused, oldestSeconds } = await readBacklog(this.#postgres);
        metrics.waiting.set(waiting);
        metrics.refused.set(refused);
        metrics.oldestSeconds.set(oldestSeconds);
        await forgetOldClaims(this.#postgres);
      } catch (error) {
        this.#log.warn('outbox backlog could not be read', { error });
      }
      await sleep(this.#options.housekeepingMs, this.#stopping.signal).catch(() => undefined);
    }
  }

  /** Resolves on a notification, after the poll interval, or at stop. */
  #nextWake(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#stopped ? 0 : this.#options.pollMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  get #stopped(): boolean {
    return this.#stopping.signal.aborted;
  }
}

const isTooLarge = (error: unknown): boolean => error instanceof AppError && error.code === 'MESSAGE_TOO_LARGE';
