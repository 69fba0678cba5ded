import { AppError } from '@headrace/base/errors';

/** Who answers requests for a model that name no version. */
export type Traffic =
  | { readonly kind: 'champion' }
  /** `percent` of the keys, 0..100; the champion answers the others. A key that is in stays in while the percentage grows. */
  | { readonly kind: 'canary'; readonly version: number; readonly percent: number; readonly salt: string }
  | { readonly kind: 'split'; readonly arms: readonly SplitArm[]; readonly salt: string };

export interface SplitArm {
  /** Stands in answers and in the prediction log. */
  readonly name: string;
  readonly version: number;
  /** Of the sum of all weights. */
  readonly weight: number;
}

export interface ShadowRule {
  readonly version: number;
  /** Of the requests that another version answers, 0..100. */
  readonly percent: number;
}

/** What an operator asks for. It names versions by number and stays as it is while these come and go. */
export interface RoutePolicy {
  readonly traffic: Traffic;
  readonly shadow?: ShadowRule | undefined;
}

export const CHAMPION_ONLY: RoutePolicy = { traffic: { kind: 'champion' }, shadow: undefined };

const ARMS = { min: 2, max: 8 };
const ARM_NAME = /^[a-z0-9][a-z0-9-]{0,31}$/;
/** Names with a meaning of their own. */
const RESERVED_ARMS = new Set(['champion', 'pinned', 'canary', 'shadow']);
const SALT_MAX = 100;

/**
 * Traffic goes only to versions that are loaded, and so verified, warm and blessed.
 * @param champion 0 = none. @throws AppError REQUEST_INVALID for what can never be; VERSION_UNKNOWN for a version that is not loaded.
 */
export function checkPolicy(policy: RoutePolicy, loaded: ReadonlyMap<number, unknown>, champion: number): void {
  const { traffic, shadow } = policy;
  const mustBeLoaded = (field: string, version: number): void => {
    if (loaded.has(version)) return;
    throw new AppError(
      'VERSION_UNKNOWN',
      `${field} names version ${version}, which is not loaded here (${[...loaded.keys()].join(', ') || 'none'} is); load it first (ServingAdmin.LoadVersion)`,
      { details: { field, version: String(version) } },
    );
  };
  switch (traffic.kind) {
    case 'champion':
      break;
    case 'canary':
      mustBePercent('canary.percent', traffic.percent);
      mustBeShort(traffic.salt);
      mustBeLoaded('canary.version', traffic.version);
      if (champion === 0) throw refused('canary', 'needs a champion that answers the other requests');
      if (champion === traffic.version) throw refused('canary.version', `is ${champion}, which is the champion already`);
      break;
    case 'split':
      mustBeShort(traffic.salt);
      checkArms(traffic.arms);
      for (const [i, arm] of traffic.arms.entries()) mustBeLoaded(`split.arms.${i}.version`, arm.version);
      break;
    default:
      traffic satisfies never;
  }
  if (!shadow) return;
  mustBePercent('shadow.percent', shadow.percent);
  mustBeLoaded('shadow.version', shadow.version);
  if (traffic.kind === 'champion' && shadow.version === champion)
    throw refused('shadow.version', `is ${champion}, which is the champion: it would be compared with itself`);
}

export const isChampionOnly = ({ traffic, shadow }: RoutePolicy): boolean => traffic.kind === 'champion' && !shadow;

/** A canary that became champion needs no canary rule, and a shadow that did would be compared with itself. */
export function afterPromotion({ traffic, shadow }: RoutePolicy, champion: number): RoutePolicy {
  return {
    traffic: traffic.kind === 'canary' && traffic.version === champion ? { kind: 'champion' } : traffic,
    shadow: shadow?.version === champion ? undefined : shadow,
  };
}

/** The versions that a policy names, each once. */
export function versionsIn({ traffic, shadow }: RoutePolicy): number[] {
  const named = traffic.kind === 'canary' ? [traffic.version] : traffic.kind === 'split' ? traffic.arms.map((arm) => arm.version) : [];
  return [...new Set(shadow ? [...named, shadow.version] : named)];
}

/** For events and logs. */
export function describePolicy({ traffic, shadow }: RoutePolicy): string {
  const who =
    traffic.kind === 'champion'
      ? 'all requests to the champion'
      : traffic.kind === 'canary'
        ? `${traffic.percent}% to version ${traffic.version} as canary, the others to the champion`
        : `split by weight: ${traffic.arms.map((arm) => `${arm.name} = version ${arm.version} x ${arm.weight}`).join(', ')}`;
  return shadow ? `${who}; ${shadow.percent}% copied to version ${shadow.version} as shadow` : who;
}

function checkArms(arms: readonly SplitArm[]): void {
  if (arms.length < ARMS.min || arms.length > ARMS.max)
    throw refused('split.arms', `has ${arms.length} entries; a split has ${ARMS.min} to ${ARMS.max}`);
  for (const [i, { name, version, weight }] of arms.entries()) {
    if (!ARM_NAME.test(name) || RESERVED_ARMS.has(name))
      throw refused(
        `split.arms.${i}.name`,
        `is ${JSON.stringify(name)}; an arm is named by 1 to 32 of a-z, 0-9 and -, and not ${[...RESERVED_ARMS].join(', ')}`,
      );
    if (arms.findIndex((arm) => arm.name === name) !== i) throw refused(`split.arms.${i}.name`, `is ${name} for the second time`);
    if (arms.findIndex((arm) => arm.version === version) !== i)
      throw refused(`split.arms.${i}.version`, `is ${version} for the second time`);
    if (!(weight > 0 && weight <= 1e6)) throw refused(`split.arms.${i}.weight`, `is ${weight}; a weight lies above 0 and up to 1000000`);
  }
}

function mustBePercent(field: string, percent: number): void {
  if (!(percent >= 0 && percent <= 100)) throw refused(field, `is ${percent}; a percentage lies from 0 to 100`);
}

function mustBeShort(salt: string): void {
  if (salt.length > SALT_MAX) throw refused('salt', `has ${salt.length} characters; at most ${SALT_MAX} are taken`);
}

function refused(field: string, fault: string): AppError {
  return new AppError('REQUEST_INVALID', `${field} ${fault}`, { details: { field } });
}
