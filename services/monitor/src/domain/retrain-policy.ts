import type { AlertKind } from './finding.js';

export interface RetrainPolicy {
  readonly on: readonly AlertKind[];
  readonly mitigation: 'none' | 'reweighing';
  /** ms */
  readonly cooldown: number;
}

/** What is known of trainings of the model. */
export interface RetrainFacts {
  /** When an alert last asked for one; undefined = never. */
  readonly lastAskedMs: number | undefined;
  /** Some training is asked for or running. */
  readonly underWay: boolean;
}

export type RetrainDecision =
  | { readonly kind: 'ask'; readonly mitigation: { readonly method: string; readonly attribute: string } | undefined }
  | { readonly kind: 'wait'; readonly reason: string }
  | { readonly kind: 'never' };

/** May this alert start a training by itself? `wait`: not now; the alert stays firing and asks again. */
export function decideRetrain(
  policy: RetrainPolicy,
  alert: { readonly kind: AlertKind; readonly subject: string },
  facts: RetrainFacts,
  nowMs: number,
): RetrainDecision {
  if (!policy.on.includes(alert.kind)) return { kind: 'never' };
  if (facts.underWay) return { kind: 'wait', reason: 'a training of the model is under way' };
  if (facts.lastAskedMs !== undefined && nowMs - facts.lastAskedMs < policy.cooldown)
    return {
      kind: 'wait',
      reason: `the last one was asked for ${Math.round((nowMs - facts.lastAskedMs) / 1000)} s ago, the cool-down is ${policy.cooldown / 1000} s`,
    };
  const mitigates = alert.kind === 'bias' && policy.mitigation !== 'none';
  return { kind: 'ask', mitigation: mitigates ? { method: policy.mitigation, attribute: alert.subject } : undefined };
}
