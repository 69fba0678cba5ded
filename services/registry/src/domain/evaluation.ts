import { z } from 'zod';
import type { FairnessMetric } from '@headrace/definitions/model-definition';

/**
 * What the gates read from the training runtime's result.json. Everything is optional here: a version whose numbers are missing
 * is judged and refused by name, never crashed on.
 */
const number = z.number().nullish().catch(null);

const evaluationShape = z
  .object({
    metrics: z.record(z.string(), number).catch({}),
    groups: z
      .array(
        z.object({
          attribute: z.string(),
          equal_opportunity_difference: number,
          demographic_parity_difference: number,
          equalized_odds_difference: number,
        }),
      )
      .catch([]),
  })
  .catch({ metrics: {}, groups: [] });

export type Evaluation = z.output<typeof evaluationShape>;

export function readEvaluation(document: unknown): Evaluation {
  return evaluationShape.parse(document ?? {});
}

/** NaN when it was not measured; NaN passes no comparison. */
export function metricOf(evaluation: Evaluation, metric: string): number {
  return Object.hasOwn(evaluation.metrics, metric) ? (evaluation.metrics[metric] ?? Number.NaN) : Number.NaN;
}

export function gapOf(evaluation: Evaluation, attribute: string, metric: FairnessMetric): number {
  return evaluation.groups.find((group) => group.attribute === attribute)?.[metric] ?? Number.NaN;
}
