import { AppError } from '@headrace/base/errors';
import type { ServedModel } from '../domain/predict-job.js';
import { nameOf } from '../domain/version-description.js';

/** One that could not be loaded is tried again by a request after this time. */
const WAKE_AGAIN_MS = 1_000;

interface Sleeper {
  readonly model: ServedModel;
  isWaking: boolean;
  /** After a load that failed, ms since the epoch. */
  notBeforeMs: number;
}

/** Champions that left for want of memory; one for each model. In the routing again when they are asked for. */
export class Sleepers {
  readonly #all = new Map<string, Sleeper>();

  constructor(private readonly nowMs: () => number) {}

  of(project: string, model: string): ServedModel | undefined {
    return this.#all.get(`${project}/${model}`)?.model;
  }

  has(model: ServedModel): boolean {
    return this.of(model.project, model.model) === model;
  }

  add(model: ServedModel): void {
    this.#all.set(`${model.project}/${model.model}`, { model, isWaking: false, notBeforeMs: 0 });
  }

  /** @returns the one that slept. */
  remove(project: string, model: string): ServedModel | undefined {
    const sleeper = this.of(project, model);
    this.#all.delete(`${project}/${model}`);
    return sleeper;
  }

  /**
   * A request asks for the one that sleeps: it is loaded by `load`, once at a time, and the caller is told to come again. It is not made to wait,
   * as it holds a turn of all.
   */
  wake(model: ServedModel, load: () => Promise<void>): AppError {
    const sleeper = this.#all.get(`${model.project}/${model.model}`);
    if (sleeper && !sleeper.isWaking && this.nowMs() >= sleeper.notBeforeMs) {
      sleeper.isWaking = true;
      load().catch(() => {
        sleeper.isWaking = false;
        sleeper.notBeforeMs = this.nowMs() + WAKE_AGAIN_MS;
      });
    }
    return new AppError(
      'DEPENDENCY_UNAVAILABLE',
      `${nameOf(model)} was unloaded for want of memory and is being loaded again; try again in a moment`,
      { details: { dependency: 'model memory', model: model.model } },
    );
  }
}
