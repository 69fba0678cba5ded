import type { ErrorCode } from '@headrace/base/errors';
import type { ModelSpec } from '@headrace/definitions/model-definition';
import { PREDICTION_ID_LENGTH_MAX } from './prediction-batch.js';
import { FUTURE_SKEW_MS } from './windows.js';

/** A label that became known for one prediction. */
export interface ObservedLabel {
  readonly predictionId: string;
  /** Code of a class, or the value that a regression predicted: a whole number. */
  readonly label: number;
  readonly observedMs: number;
}

export interface OutcomeFault {
  readonly code: ErrorCode;
  readonly reason: string;
}

/** Class codes beyond this are no class codes (and would not fit their column). */
const LABEL_MAX = 32_767;

/** @param fallbackMs when the outcome does not say when it was observed: the event's time, the same at each delivery. */
export function readOutcome(
  raw: { readonly predictionId: string; readonly label?: number | undefined; readonly observedAt: Date | undefined },
  fallbackMs: number,
  nowMs: number,
): ObservedLabel | OutcomeFault {
  const { predictionId, label } = raw;
  const fault = (reason: string): OutcomeFault => ({
    code: 'ROW_INVALID',
    reason: `outcome of prediction ${JSON.stringify(predictionId.slice(0, 80))}: ${reason}`,
  });
  if (predictionId === '' || predictionId.length > PREDICTION_ID_LENGTH_MAX || predictionId.includes('\u0000'))
    return fault(`\`predictionId\` must have 1 to ${PREDICTION_ID_LENGTH_MAX} characters`);
  if (label === undefined || !Number.isInteger(label) || Math.abs(label) > LABEL_MAX)
    return fault(`\`label\` is ${label ?? 'missing'}, not a whole number from -${LABEL_MAX} to ${LABEL_MAX}`);
  const observedMs = raw.observedAt ? raw.observedAt.getTime() : fallbackMs;
  if (!Number.isFinite(observedMs)) return fault('`observedAt` is not a time');
  if (observedMs > nowMs + FUTURE_SKEW_MS)
    return {
      code: 'ROW_FUTURE_DATED',
      reason: `outcome of prediction ${predictionId}: observed more than ${FUTURE_SKEW_MS / 1000} s ahead of this clock`,
    };
  return { predictionId, label: label === 0 ? 0 : label, observedMs: Math.round(observedMs) };
}

export function isOutcomeFault(outcome: ObservedLabel | OutcomeFault): outcome is OutcomeFault {
  return 'code' in outcome;
}

/** Of a regression: the label reaches the threshold at which an answer counts as 1. */
export function isPositive({ task, threshold, label }: Pick<ModelSpec, 'task' | 'threshold' | 'label'>, observed: number): boolean {
  return task === 'regression' ? observed >= threshold : observed === label.positive;
}

export type LabelStep = 'first' | 'repeated' | 'corrected' | 'outdated';

/**
 * What a label does to a prediction. The first one counts. An equal one changes no count (observed later, it moves the time). A
 * different one is a conflict: the label observed later wins, and the counts move with it; of two observed at the same moment
 * the one that came first stays. So the end does not depend on the order of arrival, nor on how often each one came.
 */
export function labelStep(
  known: Pick<ObservedLabel, 'label' | 'observedMs'> | undefined,
  next: Pick<ObservedLabel, 'label' | 'observedMs'>,
): LabelStep {
  if (!known) return 'first';
  if (known.label === next.label) return 'repeated';
  return next.observedMs > known.observedMs ? 'corrected' : 'outdated';
}

/** At most one label a prediction out of many, by the rule above. @returns also what became of the ones left out. */
export function mergeLabels(labels: readonly ObservedLabel[]): {
  readonly kept: ObservedLabel[];
  readonly repeated: number;
  readonly conflicting: number;
} {
  const byId = new Map<string, ObservedLabel>();
  let [repeated, conflicting] = [0, 0];
  for (const label of labels) {
    const known = byId.get(label.predictionId);
    const step = labelStep(known, label);
    if (!known || label.observedMs > known.observedMs) byId.set(label.predictionId, label);
    if (step === 'repeated') repeated++;
    if (step === 'corrected' || step === 'outdated') conflicting++;
  }
  return { kept: [...byId.values()], repeated, conflicting };
}
