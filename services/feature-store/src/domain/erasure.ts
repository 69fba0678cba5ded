import { createHmac } from 'node:crypto';
import { joinEntityKey } from '@headrace/codec/feature-key';
import type { View } from './view.js';

/** An entity by its join keys, which may be keys of other entities too: who is erased as a person is erased as the owner of an account. */
export interface ErasedEntity {
  readonly project: string;
  readonly entity: string;
  readonly keyNames: readonly string[];
  readonly keyValues: readonly string[];
}

export interface Erasure {
  readonly id: string;
  readonly requestId: string;
  readonly project: string;
  readonly entity: string;
  readonly keyNames: readonly string[];
  readonly keyHash: string;
  readonly askedBy: string;
  readonly reason: string;
  readonly state: 'running' | 'done';
  readonly untilMs: number;
  readonly views: readonly ErasedView[];
  readonly quarantined: number;
  readonly findings: number;
  readonly snapshots: readonly ErasureSnapshot[];
  readonly requestedAt: Date;
  readonly finishedAt: Date | undefined;
}

export interface ErasedView {
  readonly view: string;
  readonly rows: number;
  readonly entities: number;
  readonly qualityWindows: number;
}

/** A training set that was made from views of the entity; its bytes never change, so it is deleted whole or stays. */
export interface ErasureSnapshot {
  readonly hash: string;
  readonly builtAt: string;
  readonly views: readonly string[];
}

/** Names a tombstone without holding the key: without the secret of the database a guess cannot be tried. */
export function tombstoneHash(secret: string, project: string, names: readonly string[], values: readonly string[]): string {
  const pairs = names.map((name, i) => [name, values[i]!] as const).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHmac('sha256', secret)
    .update(JSON.stringify([project, pairs]))
    .digest('hex');
}

/** Views of the project that are keyed by these keys, alone or among others. */
export function viewsKeyedBy(views: readonly View[], { project, keyNames }: Pick<ErasedEntity, 'project' | 'keyNames'>): View[] {
  return views.filter((view) => view.project === project && keyNames.every((name) => view.joinKeys.includes(name)));
}

/** The joined key in a view that is keyed by exactly these keys; undefined in one that has more. */
export function entityKeyIn(view: View, { keyNames, keyValues }: Pick<ErasedEntity, 'keyNames' | 'keyValues'>): string | undefined {
  if (view.joinKeys.length !== keyNames.length) return undefined;
  return joinEntityKey(view.joinKeys.map((name) => keyValues[keyNames.indexOf(name)]!));
}

/** Whether a row with these keys, in the order of the view, is of the entity. */
export function isOfEntity(
  view: View,
  keys: readonly string[],
  { keyNames, keyValues }: Pick<ErasedEntity, 'keyNames' | 'keyValues'>,
): boolean {
  return keyNames.every((name, i) => keys[view.joinKeys.indexOf(name)] === keyValues[i]);
}
