import { AppError, messageOf } from '@headrace/base/errors';
import type { Log } from '../log.js';
import { Member, type Doors } from './member.js';
import type { Answer, FromChild } from './messages.js';

export interface ProcessGroupOptions {
  /** The service's own main file. */
  readonly entry: string;
  readonly count: number;
  /** The whole environment of a process. @param doors where the first one listens; undefined for the first. */
  readonly envOf: (slot: number, generation: number, doors: Doors | undefined) => NodeJS.ProcessEnv;
  readonly nodeOptions: readonly string[];
  readonly readyTimeoutMs: number;
  /** From SIGTERM to SIGKILL. */
  readonly stopTimeoutMs: number;
  /** What the supervisor itself answers beside the processes, by topic. */
  readonly own?: Readonly<Record<string, () => Promise<unknown>>>;
}

/** A crashed process is started again after the first delay, doubled for each crash in a row, until it has lived `healthyMs`. */
const RESTART = { firstMs: 100, longestMs: 10_000, healthyMs: 30_000 };

/**
 * Several processes of one service on the same ports (`reusePort`: the kernel spreads connections over them). Crashed ones come back with
 * backoff; `roll` replaces one after the other, the new one being ready before the old one drains.
 */
export class ProcessGroup {
  readonly #options: ProcessGroupOptions;
  readonly #log: Pick<Log, 'info' | 'warn' | 'error'>;
  readonly #current: (Member | undefined)[];
  /** All that live, those that are coming or draining among them. */
  readonly #alive = new Set<Member>();
  readonly #crashes: number[];
  readonly #generations: number[];
  readonly #timers = new Set<NodeJS.Timeout>();
  #doors: Doors | undefined;
  #rolling: Promise<void> | undefined;
  #isStopping = false;
  #lastAskId = 0;
  restarts = 0;

  constructor(options: ProcessGroupOptions, log: Pick<Log, 'info' | 'warn' | 'error'>) {
    this.#options = options;
    this.#log = log;
    this.#current = Array.from({ length: options.count }, () => undefined);
    this.#crashes = this.#current.map(() => 0);
    this.#generations = this.#current.map(() => 0);
  }

  get ready(): number {
    return this.#current.filter((member) => member?.isReady).length;
  }

  /** The first one takes the ports, then the others come all at once. @throws when one of them does not become ready; then none is left. */
  async start(): Promise<Doors> {
    try {
      this.#doors = await this.#begin(0).ready;
      await Promise.all(this.#current.slice(1).map((_, i) => this.#begin(i + 1).ready));
      return this.#doors;
    } catch (error) {
      const code = [...this.#current].find((member) => member?.exitCode)?.exitCode;
      await this.close();
      // 78 = bad configuration, as runMain says it; the process has written which.
      throw code === 78 ? new AppError('CONFIG_INVALID', messageOf(error), { cause: error }) : error;
    }
  }

  /** One process after the other is replaced. A new one that does not become ready ends the roll; the old ones keep serving. */
  roll(): Promise<void> {
    return (this.#rolling ??= this.#roll().finally(() => (this.#rolling = undefined)));
  }

  /** All drain at once. */
  async close(): Promise<void> {
    this.#isStopping = true;
    for (const timer of this.#timers) clearTimeout(timer);
    await Promise.all([...this.#alive].map((member) => member.stop(this.#options.stopTimeoutMs)));
  }

  async #roll(): Promise<void> {
    for (let slot = 0; slot < this.#options.count && !this.#isStopping; slot++) {
      const old = this.#current[slot];
      const next = this.#begin(slot, false);
      try {
        await next.ready;
      } catch (error) {
        this.#log.error('rolling restart ends here; the processes that are left keep serving', { slot, error: messageOf(error) });
        await next.stop(this.#options.stopTimeoutMs);
        return;
      }
      this.#current[slot] = next;
      if (old) await old.stop(this.#options.stopTimeoutMs);
      this.#log.info('process replaced', { slot, pid: next.pid, generation: next.generation });
    }
  }

  /** @param isCurrent false = beside the one that has the slot now. */
  #begin(slot: number, isCurrent = true): Member {
    const { entry, envOf, nodeOptions, readyTimeoutMs } = this.#options;
    const generation = (this.#generations[slot] = this.#generations[slot]! + 1);
    const env = envOf(slot, generation, this.#doors);
    const member = new Member({
      entry,
      slot,
      generation,
      env,
      nodeOptions,
      readyTimeoutMs,
      onAsk: (from, ask) => void this.#relay(from, ask),
    });
    this.#alive.add(member);
    if (isCurrent) this.#current[slot] = member;
    void member.gone.then((why) => this.#lost(member, why));
    return member;
  }

  #lost(member: Member, why: string): void {
    const { slot } = member;
    this.#alive.delete(member);
    // Replaced, stopped by us, or not yet in its slot: whoever began it knows.
    if (this.#isStopping || this.#current[slot] !== member || this.#doors === undefined) return;
    const isHealthy = member.readyAtMs > 0 && Date.now() - member.readyAtMs > RESTART.healthyMs;
    const crashes = (this.#crashes[slot] = isHealthy ? 1 : this.#crashes[slot]! + 1);
    const delayMs = Math.min(RESTART.firstMs * 2 ** (crashes - 1), RESTART.longestMs);
    this.restarts++;
    this.#log.error('process lost; another one follows', { slot, pid: member.pid, why, crashes, delayMs });
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      // A rolling restart may have filled the slot meanwhile.
      if (!this.#isStopping && this.#current[slot] === member) this.#watchStart(this.#begin(slot));
    }, delayMs);
    this.#timers.add(timer);
  }

  #watchStart(member: Member): void {
    member.ready.then(
      () => this.#log.info('process is back', { slot: member.slot, pid: member.pid, generation: member.generation }),
      // Hung before it was ready: it is ended, and the loss begins the next try.
      () => member.stop(0),
    );
  }

  /** A question of one process, put to all others that are ready. */
  async #relay(from: Member, { id, topic, body, timeoutMs }: Extract<FromChild, { kind: 'ask' }>): Promise<void> {
    const others = [...this.#alive].filter((member) => member !== from && member.isReady);
    const own = this.#options.own?.[topic];
    const answers = await Promise.all<Answer>([
      ...others.map((member) => member.ask(++this.#lastAskId, topic, body, timeoutMs)),
      ...(own ? [own().then((answer): Answer => ({ ok: true, body: answer }))] : []),
    ]);
    from.tell({ kind: 'answers', id, answers });
  }
}
