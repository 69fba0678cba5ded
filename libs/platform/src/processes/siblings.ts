import { messageOf } from '@headrace/base/errors';
import { AggregatorRegistry } from 'prom-client';
import type { Telemetry } from '../telemetry.js';
import { METRICS_TOPIC, type Answer, type FromChild, type ToChild } from './messages.js';

/** A sibling that does not say its numbers within this time is left out of one scrape. */
const METRICS_TIMEOUT_MS = 1_000;
/** The supervisor bounds each question; this is for a supervisor that has gone. */
const SUPERVISOR_GRACE_MS = 2_000;

type Handler = (body: never) => Promise<unknown>;

/**
 * The other processes of one service behind the same port, reached through their supervisor. Any of them may get a caller's question that
 * concerns all: it asks the others. A process that nobody supervises has no siblings, and every question comes back empty.
 */
export class Siblings {
  readonly #handlers = new Map<string, Handler>();
  readonly #waiting = new Map<number, (answers: readonly Answer[]) => void>();
  #lastId = 0;

  /** @param slot which of the processes this is; below 0 = the only one. */
  constructor(readonly slot: number) {
    if (slot >= 0) process.on('message', (message: ToChild) => void this.#hear(message));
  }

  /** Says what this process answers when a sibling asks. */
  on<Q>(topic: string, handler: (body: Q) => Promise<unknown>): void {
    this.#handlers.set(topic, handler);
  }

  /** One answer for each sibling that is ready, a failed one among them; within `timeoutMs`. */
  ask(topic: string, body: unknown, timeoutMs: number): Promise<readonly Answer[]> {
    if (this.slot < 0 || !process.connected) return Promise.resolve([]);
    const id = ++this.#lastId;
    return new Promise((resolve) => {
      const timer = setTimeout(() => done([{ ok: false, error: 'the supervisor does not answer' }]), timeoutMs + SUPERVISOR_GRACE_MS);
      const done = (answers: readonly Answer[]): void => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        resolve(answers);
      };
      this.#waiting.set(id, done);
      say({ kind: 'ask', id, topic, body, timeoutMs });
    });
  }

  /** Metrics of this process and, told apart by the label `process`, of all others: a scrape of the shared port sees everything. */
  async metricsText(telemetry: Telemetry): Promise<string> {
    if (this.slot < 0) return telemetry.metricsText();
    const [own, others] = await Promise.all([
      telemetry.registry.getMetricsAsJSON(),
      this.ask(METRICS_TOPIC, undefined, METRICS_TIMEOUT_MS),
    ]);
    return AggregatorRegistry.aggregate([own, ...others.flatMap((answer) => (answer.ok ? [answer.body as object[]] : []))]).metrics();
  }

  answerMetrics(telemetry: Telemetry): void {
    if (this.slot < 0) return;
    telemetry.labelProcess(String(this.slot));
    this.on(METRICS_TOPIC, () => telemetry.registry.getMetricsAsJSON());
  }

  async #hear(message: ToChild): Promise<void> {
    if (message.kind === 'answers') return this.#waiting.get(message.id)?.(message.answers);
    say({ kind: 'answer', id: message.id, answer: await this.#answer(message.topic, message.body) });
  }

  async #answer(topic: string, body: unknown): Promise<Answer> {
    try {
      const handler = this.#handlers.get(topic);
      if (!handler) throw new Error(`this process answers no ${topic}`);
      return { ok: true, body: await handler(body as never) };
    } catch (error) {
      return { ok: false, error: messageOf(error) };
    }
  }
}

/** For the supervisor, when there is one. */
export function say(message: FromChild): void {
  // The channel may break while we write; whoever waits for an answer is bounded.
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}
