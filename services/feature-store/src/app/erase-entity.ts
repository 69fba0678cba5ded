import { Inject, Injectable } from '@nestjs/common';
import type { Clock } from '@headrace/base/clock';
import { newId } from '@headrace/base/ids';
import { splitEntityKey } from '@headrace/codec/feature-key';
import { CLOCK } from '@headrace/platform/platform-module';
import { LIMITS, type Limits } from '../config.js';
import { entityKeyIn, isOfEntity, tombstoneHash, viewsKeyedBy, type Erasure } from '../domain/erasure.js';
import { keysOf } from '../domain/feature-row.js';
import { readJsonRow } from '../domain/json-row.js';
import { keyFault } from '../domain/join-key.js';
import type { View } from '../domain/view.js';
import { entityUnknown, erasureUnknown, requestInvalid } from '../errors.js';
import { EntityRows } from '../io/entity-rows.js';
import { ErasureStore, type RunningErasure } from '../io/erasure-store.js';
import { OnlineStore } from '../io/online-store.js';
import { QuarantineStore } from '../io/quarantine-store.js';
import { ServiceVectors } from './service-vectors.js';
import { ViewCatalogue } from './view-catalogue.js';

export interface ErasureRequest {
  readonly project: string;
  readonly entity: string;
  readonly keys: Readonly<Record<string, string>>;
  readonly reason: string;
  readonly askedBy: string;
  /** The same id is the same erasure; empty = a new one. */
  readonly requestId: string;
}

/** The stores that hold what belongs to an entity. */
@Injectable()
export class EntityStores {
  constructor(
    readonly rows: EntityRows,
    readonly online: OnlineStore,
    readonly vectors: ServiceVectors,
    readonly quarantine: QuarantineStore,
  ) {}
}

/**
 * Takes an entity out of everything that holds its values. The tombstone comes first, so that nothing returns behind the back of a step;
 * every step may be repeated, and one that was cut short by a crash goes on from the record (`resume`).
 */
@Injectable()
export class EraseEntity {
  constructor(
    private readonly catalogue: ViewCatalogue,
    private readonly erasures: ErasureStore,
    private readonly stores: EntityStores,
    @Inject(LIMITS) private readonly limits: Limits,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** @returns when it is done. @throws AppError ENTITY_UNKNOWN, REQUEST_INVALID */
  async erase({ project, entity, keys, reason, askedBy, requestId }: ErasureRequest): Promise<Erasure> {
    const { all } = await this.catalogue.newest();
    const keyed = all.find((view) => view.project === project && view.entity === entity);
    if (!keyed) throw entityUnknown(project, entity);
    const keyNames = keyed.joinKeys;
    const keyValues = keyNames.map((name) => keyOf(keys, name, keyNames));
    if (Object.keys(keys).length !== keyNames.length)
      throw requestInvalid(`entity ${entity} has the join keys ${keyNames.join(', ')}, and no others`);
    const nowMs = this.clock.nowMs();
    const { secret } = await this.erasures.epoch();
    const id = newId(nowMs);
    const keyHash = tombstoneHash(secret, project, keyNames, keyValues);
    const begun = await this.erasures.begin({
      id,
      requestId: requestId || id,
      project,
      entity,
      keyNames,
      keyValues,
      keyHash,
      askedBy,
      reason,
      // No row that is stored by now has a later one.
      untilMs: nowMs + this.limits.futureSkewMs,
    });
    if (begun.keyHash !== keyHash)
      throw requestInvalid(`request ${requestId} has erased another entity; give each erasure an id of its own`);
    if (begun.state === 'running') await this.#carryOut({ ...begun, keyValues });
    return this.find(project, begun.id);
  }

  /** Goes on with what a process has left undone, each by itself. @returns how many are done. @throws AggregateError when some failed. */
  async resume(quietMs: number): Promise<number> {
    const left = await this.erasures.takeOver(quietMs);
    const outcomes: PromiseSettledResult<void>[] = [];
    for (const erasure of left) outcomes.push(...(await Promise.allSettled([this.#carryOut(erasure)])));
    const failures = outcomes.filter((outcome) => outcome.status === 'rejected').map(({ reason }): unknown => reason);
    if (failures.length > 0) throw new AggregateError(failures, `${failures.length} of ${left.length} erasures could not go on`);
    return left.length;
  }

  /** @throws AppError ERASURE_UNKNOWN */
  async find(project: string, id: string): Promise<Erasure> {
    const found = await this.erasures.find(project, id);
    if (!found) throw erasureUnknown(id);
    return found;
  }

  list(project: string): Promise<Erasure[]> {
    return this.erasures.list(project);
  }

  async #carryOut(erasure: RunningErasure): Promise<void> {
    const { all } = await this.catalogue.newest();
    const views = viewsKeyedBy(all, erasure);
    for (const view of views) await this.#eraseView(erasure, view);
    for (const view of views) await this.erasures.addQuarantined(erasure.id, await this.#eraseQuarantine(erasure, view));
    const snapshots = await this.erasures.snapshots(
      erasure.project,
      views.map(({ name }) => name),
    );
    await this.erasures.finish(erasure.id, snapshots);
  }

  /** The mark is set before the rows go, for writers that have read them, and once more behind them, for windows made of them meanwhile. */
  async #eraseView(erasure: RunningErasure, view: View): Promise<void> {
    const keys = await this.erasures.rememberKeys(erasure.id, view.name, await this.#keysOf(erasure, view));
    const mark = (): Promise<void> =>
      view.spec.online ? this.stores.online.erase(view, keys, erasure.untilMs, this.limits.erasureMarkMs) : Promise.resolve();
    await mark();
    await this.stores.rows.erase(view, keys, erasure.untilMs, async (tx, { rows, findings, qualityWindows }) => {
      await this.erasures.addView(tx, erasure.id, { view: view.name, rows, qualityWindows });
      await this.erasures.addFindings(tx, erasure.id, findings);
    });
    await mark();
    await this.stores.vectors.refresh(view, keys);
  }

  /** In both stores: rows that were pushed `online` only are nowhere else. */
  async #keysOf(erasure: RunningErasure, view: View): Promise<string[]> {
    const keys = new Set(await this.stores.rows.keysOf(view, erasure));
    if (entityKeyIn(view, erasure) === undefined && view.spec.online) {
      for await (const batch of this.stores.online.entities(view))
        for (const key of batch) if (isOfEntity(view, splitEntityKey(key), erasure)) keys.add(key);
    }
    return [...keys];
  }

  async #eraseQuarantine(erasure: RunningErasure, view: View): Promise<number> {
    let removed = 0;
    for (let afterId = 0; ;) {
      const kept = await this.stores.quarantine.next(view.project, view.name, [], afterId, QUARANTINE_BATCH);
      if (kept.length === 0) return removed;
      afterId = kept.at(-1)!.id;
      const found = kept.filter(({ content }) => {
        const keys = keysOf(view, readJsonRow(JSON.parse(content)));
        return keys !== undefined && isOfEntity(view, keys, erasure);
      });
      await this.stores.quarantine.remove(found.map(({ id }) => id));
      removed += found.length;
    }
  }
}

const QUARANTINE_BATCH = 1_000;

function keyOf(keys: ErasureRequest['keys'], name: string, names: readonly string[]): string {
  const value = Object.hasOwn(keys, name) ? keys[name] : undefined;
  if (value === undefined) throw requestInvalid(`join key ${name} is missing; the entity wants ${names.join(', ')}`);
  const fault = keyFault(value);
  if (fault) throw requestInvalid(`join key ${name} ${fault}`);
  return value;
}
