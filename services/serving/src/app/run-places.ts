import { toAppError, type AppError } from '@headrace/base/errors';
import type { LoadState } from '../domain/load-state.js';
import type { OpenSession } from '../domain/loaded-model.js';
import type { ServedModel } from '../domain/predict-job.js';
import type { Place, RunFigures } from '../domain/run-watch.js';

/** A version changed its place, or could not. */
export interface Move {
  readonly to: Place;
  /** Why it was to move. */
  readonly figures: RunFigures;
  readonly failure: AppError | undefined;
}

export interface PlacesDependencies {
  readonly isClosing: () => boolean;
  readonly moved: (model: ServedModel, move: Move) => void;
}

/** Moves versions that answer between the event loop and processes of their own, as their runs ask for (domain/run-watch.ts). */
export class RunPlaces {
  readonly #deps: PlacesDependencies;

  constructor(dependencies: PlacesDependencies) {
    this.#deps = dependencies;
  }

  /** The version has parts by now. */
  watch(model: ServedModel): void {
    model.parts.watch.wrongPlace = () => void this.#move(model);
  }

  /** The version answers on, from the other place as soon as its session there is ready. One that cannot be moved stays where it is. */
  async #move(model: ServedModel): Promise<void> {
    if (model.state !== 'loaded') return;
    const { parts } = model;
    const { watch } = parts;
    const { figures } = watch;
    const to = watch.place === 'here' ? 'worker' : 'here';
    let session: OpenSession;
    try {
      session = await parts.open(to);
    } catch (thrown) {
      watch.stayed();
      return this.#deps.moved(model, { to, figures, failure: toAppError(thrown) });
    }
    if (this.#deps.isClosing() || (model.state as LoadState) !== 'loaded') return session.release();
    const old = parts.session;
    parts.session = session;
    parts.tensors = session.tensors;
    watch.moved(to);
    // What is under way there is answered from there.
    old.retire();
    this.#deps.moved(model, { to, figures, failure: undefined });
  }
}
