import { Injectable } from '@nestjs/common';
import { tombstoneHash } from '../domain/erasure.js';
import { eventTimeOf, keysOf, type IncomingRow } from '../domain/feature-row.js';
import type { View } from '../domain/view.js';
import { ErasureStore } from '../io/erasure-store.js';
import type { Views } from './view-catalogue.js';

interface Received {
  readonly project: string;
  readonly view: string;
  readonly rows: readonly IncomingRow[];
}

/** What the tombstones of one moment say of some rows. */
export interface Erased {
  readonly epoch: number;
  /** By element of what was asked: the rows in it that stay out. */
  readonly rows: readonly ReadonlySet<number>[];
}

const NONE: ReadonlySet<number> = new Set();

/**
 * Finds rows of erased entities, also among rows that are refused for something else, because those would be kept for review. A row whose
 * event time lies after the erasure is none: the entity has come anew. Costs one tiny query until a project has erased somebody.
 */
@Injectable()
export class ErasedRows {
  #known: { readonly epoch: number; readonly shapes: ReadonlyMap<string, readonly string[][]> } | undefined;

  constructor(private readonly store: ErasureStore) {}

  async among(views: Views, received: readonly Received[]): Promise<Erased> {
    const { epoch, secret } = await this.store.epoch();
    if (this.#known?.epoch !== epoch) this.#known = { epoch, shapes: await this.store.shapes() };
    const { shapes } = this.#known;
    if (received.every(({ project }) => !shapes.has(project))) return { epoch, rows: received.map(() => NONE) };
    const rows: ReadonlySet<number>[] = [];
    for (const one of received) rows.push(await this.#find(views.find(one.project, one.view), one, shapes.get(one.project) ?? [], secret));
    return { epoch, rows };
  }

  async #find(
    view: View | undefined,
    { project, rows }: Received,
    shapes: readonly string[][],
    secret: string,
  ): Promise<ReadonlySet<number>> {
    const fitting = shapes.filter((names) => view && names.every((name) => view.joinKeys.includes(name)));
    if (!view || fitting.length === 0) return NONE;
    const keys = rows.map((row) => keysOf(view, row));
    const found = new Set<number>();
    for (const names of fitting) {
      const slots = names.map((name) => view.joinKeys.indexOf(name));
      const hashes = keys.map(
        (values) =>
          values &&
          tombstoneHash(
            secret,
            project,
            names,
            slots.map((slot) => values[slot]!),
          ),
      );
      const untilOf = await this.store.tombstones(project, names, [...new Set(hashes.filter((hash) => hash !== undefined))]);
      for (const [i, hash] of hashes.entries()) {
        const untilMs = hash === undefined ? undefined : untilOf.get(hash);
        // A row without a time is of no later one.
        if (untilMs !== undefined && !(eventTimeOf(rows[i]!) > untilMs)) found.add(i);
      }
    }
    return found;
  }
}
