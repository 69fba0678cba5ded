import { NAME_PATTERN } from '@headrace/base/ids';
import type { VersionEvent, VersionState } from './version-state.js';

/** An alias that gives a version traffic: only blessed versions may hold it, and holding it is a state. */
export interface TrafficAlias {
  readonly enter: VersionEvent;
  /** What happens to the version that held the alias before. */
  readonly leave: VersionEvent;
  readonly state: VersionState;
}

export const TRAFFIC_ALIASES: ReadonlyMap<string, TrafficAlias> = new Map([
  ['champion', { enter: 'promote', leave: 'replace', state: 'champion' }],
  ['canary', { enter: 'startCanary', leave: 'withdraw', state: 'canary' }],
  ['shadow', { enter: 'startShadow', leave: 'withdraw', state: 'shadow' }],
]);

export const CHAMPION = 'champion';

/** `latest` and `v7` read like version numbers, so they are never aliases (MLflow reserves the same words). */
export function isAliasName(alias: string): boolean {
  return NAME_PATTERN.test(alias) && alias !== 'latest' && !/^v\d+$/.test(alias);
}
