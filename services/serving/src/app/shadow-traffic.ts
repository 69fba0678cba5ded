import type { PredictRequestView } from '@headrace/codec/predict-request';
import type { PredictJob, ServedModel } from '../domain/predict-job.js';
import { ShadowPair } from '../domain/shadow-pair.js';
import type { ShadowBook } from '../domain/shadow-statistics.js';
import { copyOf } from './route-finder.js';

/** Copies that wait for their turn; more are not made. */
const WAITING_MAX = 1_000;
/** Copies that are begun in one event-loop turn. */
const TURN_MAX = 64;

export interface ShadowCopy {
  /** The request as it came. */
  readonly bytes: Uint8Array;
  readonly version: ServedModel;
  readonly pair: ShadowPair;
  readonly predictionId: string;
}

/**
 * Requests that a second version answers as well, its answer being dropped. A copy is begun in a later event-loop turn, when the
 * answers of its own have been written, so that callers do not wait for it; and only while there is room.
 */
export class ShadowTraffic {
  readonly #book: ShadowBook;
  readonly #begin: (copies: readonly ShadowCopy[]) => void;
  #waiting: ShadowCopy[] = [];
  #isDue = false;

  /** @param begin runs the copies; their versions are pinned until it returns. */
  constructor(book: ShadowBook, begin: (copies: readonly ShadowCopy[]) => void) {
    this.#book = book;
    this.#begin = begin;
  }

  /** The view is read before the return. */
  copy(view: PredictRequestView, primary: PredictJob, version: ServedModel): void {
    const { loaded, replies, reply } = primary;
    const pair = new ShadowPair(
      this.#book.of(loaded.project, loaded.model, loaded.version, version.version),
      replies.headerOf(reply, 'traceparent'),
    );
    if (this.#waiting.length >= WAITING_MAX) return pair.skip();
    primary.pair = pair;
    version.pin();
    const predictionId = `${primary.predictionId.toString()}~${version.version}`;
    this.#waiting.push({ bytes: copyOf(view.bytes, view.start, view.end), version, pair, predictionId });
    this.#schedule();
  }

  /** Copies that were not begun are given up; nobody waits for them. */
  stop(): void {
    for (const { pair, version } of this.#waiting.splice(0)) {
      pair.skip();
      version.unpin();
    }
  }

  #schedule(): void {
    if (this.#isDue || this.#waiting.length === 0) return;
    this.#isDue = true;
    setImmediate(() => {
      this.#isDue = false;
      const copies = this.#waiting.splice(0, TURN_MAX);
      // A request that was refused meanwhile needs no copy.
      this.#begin(copies.filter(({ pair }) => !pair.isGone()));
      for (const { version } of copies) version.unpin();
      this.#schedule();
    });
  }
}
