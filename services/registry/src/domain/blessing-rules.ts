import type { ModelDefinition } from '@headrace/definitions/definition';
import { gapOf, metricOf, type Evaluation } from './evaluation.js';

/** One gate's answer. Written down for the gates that passed as well: the record says what was looked at. */
export interface GateVerdict {
  readonly gate: string;
  /** NaN = it was not measured, which never passes. */
  readonly value: number;
  readonly threshold: number;
  readonly passed: boolean;
  readonly sentence: string;
}

export interface Candidate {
  readonly spec: ModelDefinition['spec'];
  readonly evaluation: Evaluation;
  readonly champion: { readonly version: number; readonly evaluation: Evaluation } | undefined;
  /** Attribute that the run was asked to mitigate. */
  readonly mitigatedAttribute: string | undefined;
  /** Reasons why serving could not load it (signature, golden rows, graph); empty = it can. */
  readonly servabilityFaults: readonly string[];
}

export interface Judgement {
  readonly blessed: boolean;
  readonly gates: readonly GateVerdict[];
  /** 0 = there was no champion to compare with. */
  readonly championVersion: number;
}

/** Every rule looks at the candidate and gives one verdict a gate. A version is blessed when all of them pass; there is no override. */
export const BLESSING_RULES: readonly ((candidate: Candidate) => readonly GateVerdict[])[] = [
  servability,
  qualityBounds,
  relativeToChampion,
  fairnessCeilings,
  mitigatedCeiling,
];

export function judge(candidate: Candidate): Judgement {
  const gates = BLESSING_RULES.flatMap((rule) => rule(candidate));
  return { blessed: gates.every((gate) => gate.passed), gates, championVersion: candidate.champion?.version ?? 0 };
}

/** Value = number of faults. */
export function servability({ servabilityFaults: faults }: Candidate): readonly GateVerdict[] {
  const passed = faults.length === 0;
  const sentence = passed
    ? 'artefact, signature and golden rows are complete, so serving can load and verify it'
    : `serving could not take it: ${faults.join('; ')}`;
  return [{ gate: 'servability', value: faults.length, threshold: 0, passed, sentence }];
}

export function qualityBounds({ spec, evaluation }: Candidate): readonly GateVerdict[] {
  return spec.gates.quality.map((rule) => {
    const [gate, value, what] = [`quality:${rule.metric}`, metricOf(evaluation, rule.metric), `${rule.metric} on the holdout`];
    return 'floor' in rule ? atLeast(gate, value, rule.floor, what, 'the floor') : atMost(gate, value, rule.ceiling, what);
  });
}

export function relativeToChampion({ spec, evaluation, champion }: Candidate): readonly GateVerdict[] {
  if (!champion) return [];
  return spec.gates.relative.map(({ metric, maxDrop }) => {
    const before = metricOf(champion.evaluation, metric);
    const bound = `champion version ${champion.version}'s ${show(before)} less ${maxDrop}, which is`;
    return atLeast(`relative:${metric}`, metricOf(evaluation, metric), before - maxDrop, `${metric} on the holdout`, bound);
  });
}

export function fairnessCeilings({ spec, evaluation }: Candidate): readonly GateVerdict[] {
  return spec.gates.fairness.map(({ attribute, metric, ceiling }) =>
    atMost(`fairness:${attribute}:${metric}`, gapOf(evaluation, attribute, metric), ceiling, `${metric} over ${attribute}`),
  );
}

/** A run that was to mend an attribute has to mend it, whatever `fairness` lists. */
export function mitigatedCeiling({ spec, evaluation, mitigatedAttribute: attribute }: Candidate): readonly GateVerdict[] {
  if (!attribute) return [];
  const metric = 'equal_opportunity_difference';
  return [
    atMost(
      `mitigated:${attribute}`,
      gapOf(evaluation, attribute, metric),
      spec.gates.mitigatedCeiling,
      `${metric} over the mitigated attribute ${attribute}`,
    ),
  ];
}

function atLeast(gate: string, value: number, threshold: number, what: string, bound: string): GateVerdict {
  const passed = value >= threshold;
  return {
    gate,
    value,
    threshold,
    passed,
    sentence: sentence(what, value, passed ? 'reaches' : 'lies under', `${bound} ${show(threshold)}`),
  };
}

function atMost(gate: string, value: number, threshold: number, what: string): GateVerdict {
  const passed = value <= threshold;
  return {
    gate,
    value,
    threshold,
    passed,
    sentence: sentence(what, value, passed ? 'stays within' : 'exceeds', `the ceiling ${show(threshold)}`),
  };
}

function sentence(what: string, value: number, relation: string, bound: string): string {
  if (Number.isNaN(value)) return `${what} was not measured, so the gate with ${bound} refuses`;
  return `${what} is ${show(value)}, which ${relation} ${bound}`;
}

function show(value: number): string {
  return Number.isNaN(value) ? 'unmeasured value' : String(Number(value.toFixed(4)));
}
