import { toAppError, type AppError } from '@headrace/base/errors';
import type { LoadState } from '../domain/load-state.js';
import type { OpenSession } from '../domain/loaded-model.js';
import type { ServedModel } from '../domain/predict-job.js';

export interface PlacesDependencies {
  readonly isClosing: () => boolean;
  /** The version runs in a process of its own from now on, or could not be moved there. */
  readonly moved: (model: ServedModel, failure: AppError | undefined) => void;
}

/** Moves versions that answer from the event loop to a process of their own. */
export class RunPlaces {
  readonly #deps: PlacesDependencies;

  constructor(dependencies: PlacesDependencies) {
    this.#deps = dependencies;
  }

  /** The version answers on, from a process of its own as soon as that is ready. One that cannot be moved stays where it is. */
  async moveToWorker(model: ServedModel): Promise<void> {
    if (model.state !== 'loaded' || !model.parts.inWorker) return;
    const open = model.parts.inWorker;
    model.parts.inWorker = undefined;
    let session: OpenSession;
    try {
      session = await open();
    } catch (thrown) {
      return this.#deps.moved(model, toAppError(thrown));
    }
    if (this.#deps.isClosing() || (model.state as LoadState) !== 'loaded') return session.release();
    const old = model.parts.session;
    model.parts.session = session;
    model.parts.tensors = session.tensors;
    old.release();
    this.#deps.moved(model, undefined);
  }
}
