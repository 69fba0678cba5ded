import { entityScope, valueToken, type TokenScope } from '@headrace/base/value-token';
import type { Redaction } from '@headrace/definitions/model-definition';
import type { VersionDescription } from './version-description.js';

/** What the definition of a model says about its prediction log. */
export interface LogPolicy {
  /** Share of requests that are logged; undefined = that of the process. */
  readonly sampleRate?: number | undefined;
  /** By column name. */
  readonly redact: Readonly<Record<string, Redaction>>;
  readonly entity?: Redaction | undefined;
}

/** The policy and the marks of the feature store, compiled once for a version: what its rows look like in the log. */
export interface LogRules {
  readonly sampleRate: number | undefined;
  /** Column -> why it has no values in the log; what does not stand here is logged as served. */
  readonly redacted: ReadonlyMap<string, RedactionRule>;
  readonly entity: RedactionRule | undefined;
}

/**
 * `unknown`: omitted until the feature store has said whether the column is personal. `keyless`: omitted, because a token was wanted and
 * the process has no key.
 */
export type RedactionRule = { readonly kind: 'omit' | 'unknown' | 'keyless' } | { readonly kind: 'hash'; readonly tokens: ValueTokens };

/**
 * A column that is personal is never logged in clear, whatever the model says. Unless the model chooses, nothing is left of it; of a
 * protected attribute a token, so that its groups can still be compared. @param hashKey '' = none. @returns undefined when all is logged
 * as the process does it.
 */
export function compileLogRules(
  { project, signature, log, personal }: Pick<VersionDescription, 'project' | 'signature' | 'log' | 'personal'>,
  hashKey: string,
): LogRules | undefined {
  const { features, protectedFeatures, entityKeys } = signature;
  const ruleOf = (wanted: Redaction | undefined, scope: TokenScope): RedactionRule | undefined => {
    if (wanted !== 'hash') return wanted && { kind: wanted };
    return hashKey === '' ? { kind: 'keyless' } : { kind: 'hash', tokens: new ValueTokens(hashKey, scope) };
  };
  const redacted = new Map<string, RedactionRule>();
  const attributes = new Set(protectedFeatures.map(({ name }) => name));
  for (const { name, reference } of [...features, ...protectedFeatures]) {
    const whenPersonal = attributes.has(name) ? 'hash' : 'omit';
    const wanted = log.redact[name] ?? (personal?.includes(reference) ? whenPersonal : undefined);
    const rule = ruleOf(wanted, { project, of: reference }) ?? (personal ? undefined : ({ kind: 'unknown' } as const));
    if (rule) redacted.set(name, rule);
  }
  const entity = ruleOf(log.entity, entityScope(project, entityKeys));
  return redacted.size === 0 && !entity && log.sampleRate === undefined ? undefined : { sampleRate: log.sampleRate, redacted, entity };
}

/** Values whose token is kept at hand: categories fit, numbers that are all different cost one HMAC (some 5 µs) each. */
const KEPT_MAX = 4_096;

/** Tokens of the values of one column. */
export class ValueTokens {
  readonly #kept = new Map<string | number, string>();

  constructor(
    readonly key: string,
    readonly scope: TokenScope,
  ) {}

  /** '' for what is missing: NaN and ''. */
  of(value: string | number): string {
    if (value === '' || Number.isNaN(value)) return '';
    let token = this.#kept.get(value);
    if (token === undefined) {
      if (this.#kept.size >= KEPT_MAX) this.#kept.clear();
      this.#kept.set(value, (token = valueToken(this.key, this.scope, value)));
    }
    return token;
  }
}
