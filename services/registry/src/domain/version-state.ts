/**
 * The life of a model version, as a complete table: every pair of state and event has its answer here and nowhere else.
 * `archived` is reached from blessed states only, so whatever may be promoted has once been blessed.
 */
export const VERSION_STATES = ['registered', 'evaluated', 'blessed', 'rejected', 'shadow', 'canary', 'champion', 'archived'] as const;
export type VersionState = (typeof VERSION_STATES)[number];

/** `replace`: another version took the alias `champion`; `withdraw`: taken out of shadow or canary. */
export const VERSION_EVENTS = [
  'evaluate',
  'bless',
  'reject',
  'startShadow',
  'startCanary',
  'withdraw',
  'promote',
  'replace',
  'archive',
] as const;
export type VersionEvent = (typeof VERSION_EVENTS)[number];

const no = 'illegal';

export const VERSION_TRANSITIONS: Readonly<Record<VersionState, Readonly<Record<VersionEvent, VersionState | 'illegal'>>>> = {
  registered: {
    evaluate: 'evaluated',
    bless: no,
    reject: no,
    startShadow: no,
    startCanary: no,
    withdraw: no,
    promote: no,
    replace: no,
    archive: no,
  },
  evaluated: {
    evaluate: no,
    bless: 'blessed',
    reject: 'rejected',
    startShadow: no,
    startCanary: no,
    withdraw: no,
    promote: no,
    replace: no,
    archive: no,
  },
  blessed: {
    evaluate: no,
    bless: no,
    reject: no,
    startShadow: 'shadow',
    startCanary: 'canary',
    withdraw: no,
    promote: 'champion',
    replace: no,
    archive: 'archived',
  },
  rejected: { evaluate: no, bless: no, reject: no, startShadow: no, startCanary: no, withdraw: no, promote: no, replace: no, archive: no },
  shadow: {
    evaluate: no,
    bless: no,
    reject: no,
    startShadow: no,
    startCanary: 'canary',
    withdraw: 'blessed',
    promote: 'champion',
    replace: no,
    archive: 'archived',
  },
  canary: {
    evaluate: no,
    bless: no,
    reject: no,
    startShadow: 'shadow',
    startCanary: no,
    withdraw: 'blessed',
    promote: 'champion',
    replace: no,
    archive: 'archived',
  },
  champion: {
    evaluate: no,
    bless: no,
    reject: no,
    startShadow: no,
    startCanary: no,
    withdraw: no,
    promote: no,
    replace: 'archived',
    archive: no,
  },
  // A rollback is a promotion of an archived version.
  archived: {
    evaluate: no,
    bless: no,
    reject: no,
    startShadow: 'shadow',
    startCanary: 'canary',
    withdraw: no,
    promote: 'champion',
    replace: no,
    archive: no,
  },
};

export function nextVersionState(state: VersionState, event: VersionEvent): VersionState | 'illegal' {
  return VERSION_TRANSITIONS[state][event];
}
