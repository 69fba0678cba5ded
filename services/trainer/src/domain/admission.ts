import type { ModelDefinition } from '@headrace/definitions/definition';
import { splitReference } from '@headrace/definitions/reference';

export const REASONS = ['manual', 'schedule', 'alert', 'event'] as const;
export type Reason = (typeof REASONS)[number];

export const MITIGATIONS = ['reweighing'] as const;

export interface Mitigation {
  readonly method: (typeof MITIGATIONS)[number];
  /** Protected attribute, by its column name. */
  readonly attribute: string;
}

export type Admission = { readonly kind: 'queue' } | { readonly kind: 'cooling'; readonly untilMs: number };

/** An alert may start a retraining only when the last one for an alert is older than the policy's cool-down. People are not held back. */
export function admit(reason: Reason, cooldownMs: number, lastAlertRunMs: number | undefined, nowMs: number): Admission {
  if (reason !== 'alert' || lastAlertRunMs === undefined) return { kind: 'queue' };
  const untilMs = lastAlertRunMs + cooldownMs;
  return nowMs < untilMs ? { kind: 'cooling', untilMs } : { kind: 'queue' };
}

/** The fault of a mitigation that the model does not allow; undefined = it is fine. */
export function mitigationFault(mitigation: { method: string; attribute: string }, spec: ModelDefinition['spec']): string | undefined {
  if (!(MITIGATIONS as readonly string[]).includes(mitigation.method))
    return `method ${JSON.stringify(mitigation.method)} is not known; known: none, ${MITIGATIONS.join(', ')}`;
  const attributes = spec.protected.map((reference) => splitReference(reference).feature);
  if (attributes.includes(mitigation.attribute)) return undefined;
  return `attribute ${JSON.stringify(mitigation.attribute)} is not protected in the model; protected: ${attributes.join(', ') || 'none'}`;
}
