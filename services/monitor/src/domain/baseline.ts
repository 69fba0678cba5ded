import { AppError, messageOf } from '@headrace/base/errors';
import { parseProfile, type ColumnProfile } from '@headrace/stats/profile';
import { sketchLayout, type SketchLayout } from '@headrace/stats/histogram';

/** One column as it was in training, with the fixed cells on which its windows are counted. */
export interface ReferenceColumn {
  readonly profile: ColumnProfile;
  readonly layout: SketchLayout;
}

/** Column of the model's own answers; features cannot shadow it, for it is looked up apart. */
export const SCORE = 'score';

/** Features by name, and the score. */
export interface Baseline {
  readonly features: ReadonlyMap<string, ReferenceColumn>;
  readonly score: ReferenceColumn | undefined;
}

export const NO_BASELINE: Baseline = { features: new Map(), score: undefined };

/** More columns than any model definition can name. */
const COLUMNS_MAX = 2_000;

/**
 * baseline.json of the training runtime (services/trainer/python/README.md). An empty object is a version without a profile: it is
 * counted and watched for bias, not for drift. @throws AppError REQUEST_INVALID naming the column.
 */
export function readBaseline(raw: unknown): Baseline {
  if (typeof raw !== 'object' || raw === null) return NO_BASELINE;
  const { features, scores } = raw as { features?: unknown; scores?: unknown };
  if (features === undefined && scores === undefined) return NO_BASELINE;
  if (!Array.isArray(features) || features.length > COLUMNS_MAX)
    throw new AppError('REQUEST_INVALID', `baseline: \`features\` must be a list of at most ${COLUMNS_MAX} profiles`);
  const columns = features.map(referenceColumn);
  return {
    features: new Map(columns.map((column) => [column.profile.name, column])),
    score: scores === undefined || scores === null ? undefined : referenceColumn(scores),
  };
}

function referenceColumn(raw: unknown): ReferenceColumn {
  try {
    const profile = parseProfile(raw);
    return { profile, layout: sketchLayout(profile) };
  } catch (error) {
    throw new AppError('REQUEST_INVALID', `baseline: ${messageOf(error)}`, { cause: error });
  }
}
