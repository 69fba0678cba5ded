import { AppError, messageOf } from '@headrace/base/errors';
import { Redis } from 'ioredis';
import { createHash } from 'node:crypto';
import type { Log } from '../log.js';

export interface RedisOptions {
  readonly url: string;
  /** Seen in CLIENT LIST. */
  readonly name: string;
  /** Longest wait for one answer; default 1,000. The read path of predictions passes far less. */
  readonly commandTimeoutMs?: number;
  readonly connectTimeoutMs?: number;
}

/** Lua that runs inside Redis as one step. Large batches: split them, Redis does nothing else meanwhile. */
export type Script = (keys: readonly string[], args?: readonly (string | Buffer | number)[]) => Promise<unknown>;

const RECONNECT_DELAY_MAX_MS = 1_000;

/**
 * One connection with automatic pipelining. While Redis is away every call fails at once with DEPENDENCY_UNAVAILABLE: nothing
 * queues up (ioredis' own offline queue has no limit), and the connection comes back by itself within a second of Redis.
 */
export class RedisClient {
  /** For commands that this class has no word for; wrap them in `run`. */
  readonly raw: Redis;
  #closed: Promise<void> | undefined;

  constructor({ url, name, commandTimeoutMs = 1_000, connectTimeoutMs = 2_000 }: RedisOptions, log: Pick<Log, 'info' | 'warn'>) {
    this.raw = new Redis(url, {
      connectionName: name,
      commandTimeout: commandTimeoutMs,
      connectTimeout: connectTimeoutMs,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 1,
      autoResendUnfulfilledCommands: false,
      enableAutoPipelining: true,
      keepAlive: 10_000,
      retryStrategy: (attempt) => Math.min(50 * attempt, RECONNECT_DELAY_MAX_MS),
    });
    let away = false;
    this.raw.on('error', (error: Error) => {
      if (!away) log.warn('Redis is away; calls fail until it is back', { error });
      away = true;
    });
    this.raw.on('ready', () => {
      if (away) log.info('Redis is back');
      away = false;
    });
  }

  /** Values in the order of the keys, null for those that are not there. One round trip. */
  async getBuffers(keys: readonly string[]): Promise<(Buffer | null)[]> {
    if (keys.length === 0) return [];
    return this.run('MGET', () => this.raw.mgetBuffer(...keys));
  }

  /**
   * Sent by its hash; the text follows only when Redis does not know it (first use, restart, SCRIPT FLUSH).
   * @param name for error messages
   */
  script(name: string, lua: string): Script {
    const sha1 = createHash('sha1').update(lua).digest('hex');
    return (keys, args = []) =>
      this.run(`script ${name}`, async () => {
        try {
          return await this.raw.evalsha(sha1, keys.length, ...keys, ...args);
        } catch (error) {
          if (!messageOf(error).startsWith('NOSCRIPT')) throw error;
          return this.raw.eval(lua, keys.length, ...keys, ...args);
        }
      });
  }

  /** Runs commands on `raw` and turns their failures into AppErrors. */
  async run<T>(doing: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw toRedisError(error, doing);
    }
  }

  async check(): Promise<void> {
    await this.run('PING', () => this.raw.ping());
  }

  /** Waits until connected, for start-up and tests; bounded. @throws AppError DEPENDENCY_UNAVAILABLE */
  async ready(withinMs = 5_000): Promise<void> {
    if (this.raw.status === 'ready') return;
    await new Promise<void>((resolve, reject) => {
      const onReady = (): void => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        this.raw.off('ready', onReady);
        reject(away('connect', `no connection within ${withinMs} ms`));
      }, withinMs);
      this.raw.once('ready', onReady);
    });
  }

  /** Lets commands in flight end, then closes. Safe to call twice. */
  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    if (this.raw.status === 'ready') await this.raw.quit().catch(() => undefined); // a lost connection needs no good-bye
    this.raw.disconnect();
  }
}

/** Redis loading, read-only after a failover, busy, out of memory: it cannot do the work now. */
const CANNOT_NOW = /^(LOADING|READONLY|BUSY|CLUSTERDOWN|MASTERDOWN|TRYAGAIN|MISCONF|NOREPLICAS)/;
const CONNECTION =
  /^(Command timed out|Connection is closed|Stream isn't writeable|Reached the max retries|connect |read |write |getaddrinfo)|ECONN|EPIPE|ETIMEDOUT/;

function toRedisError(error: unknown, doing: string): unknown {
  if (error instanceof AppError) return error;
  const text = messageOf(error);
  if (text.startsWith('OOM'))
    return new AppError('OVERLOADED', `Redis is out of memory (${doing})`, { details: { dependency: 'redis' }, cause: error });
  if (CANNOT_NOW.test(text) || CONNECTION.test(text)) return away(doing, text, error);
  return error;
}

const away = (doing: string, why: string, cause?: unknown): AppError =>
  new AppError('DEPENDENCY_UNAVAILABLE', `Redis cannot be reached (${doing}): ${why}`, { details: { dependency: 'redis' }, cause });
