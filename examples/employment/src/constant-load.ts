import type { HeadraceClient } from '@headrace/client/client';
import { messageOf } from '@headrace/base/errors';
import { seededRandom } from '@headrace/base/random';
import type { Person } from './people.js';

export interface LoadResult {
  readonly sent: number;
  readonly answered: number;
  readonly lost: number;
  readonly failures: readonly string[];
  /** Answers by version, in the order of their first answer. */
  readonly versions: ReadonlyMap<number, number>;
}

const TICK_MS = 10;

/** Requests at a constant rate, whether or not answers come back (open loop), so that a swap that stalls shows as loss or delay. */
export class ConstantLoad {
  readonly #client: HeadraceClient;
  readonly #people: readonly Person[];
  readonly #perTick: number;
  readonly #random = seededRandom(16);
  readonly #versions = new Map<number, number>();
  readonly #failures: string[] = [];
  readonly #pending = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #sent = 0;
  #answered = 0;
  #lost = 0;

  constructor(client: HeadraceClient, people: readonly Person[], ratePerSecond: number) {
    this.#client = client;
    this.#people = people;
    this.#perTick = (ratePerSecond * TICK_MS) / 1000;
  }

  start(): void {
    const begin = performance.now();
    this.#timer = setInterval(() => {
      const due = Math.floor(((performance.now() - begin) / TICK_MS) * this.#perTick);
      while (this.#sent < due) this.#send();
    }, TICK_MS);
  }

  /** Ends the load and waits for every answer; each call has its own deadline, so this is bounded. */
  async stop(): Promise<LoadResult> {
    clearInterval(this.#timer);
    await Promise.all(this.#pending);
    return { sent: this.#sent, answered: this.#answered, lost: this.#lost, failures: this.#failures, versions: this.#versions };
  }

  #send(): void {
    this.#sent++;
    const person = this.#people[Math.floor(this.#random() * this.#people.length)]!;
    const call = this.#client
      .predict({ model: 'employment', entities: [person.id] })
      .then(({ version }) => {
        this.#answered++;
        this.#versions.set(version, (this.#versions.get(version) ?? 0) + 1);
      })
      .catch((error: unknown) => {
        this.#lost++;
        if (this.#failures.length < 5) this.#failures.push(messageOf(error));
      })
      .finally(() => this.#pending.delete(call));
    this.#pending.add(call);
  }
}
