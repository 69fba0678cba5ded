import { z } from 'zod';
import { positiveDuration } from './scalars.js';

const instant = z.iso.datetime({ offset: true });

/** Windows of a fixed reference span are kept for ever. */
const REFERENCE_WINDOWS_MAX = 1_000;

/**
 * Statistics of each feature for each window of time, and how far a window may be from its reference. `by` says which time of a row counts:
 * that of the event, or that of its first arrival. The newest `keep` windows are kept.
 */
export const qualityObjective = z
  .strictObject({
    window: positiveDuration.default(3_600_000),
    by: z.enum(['event', 'arrival']).default('event'),
    keep: z.int().min(2).max(1_000).default(168),
    /** So many windows before the judged one, or a fixed span such as that of the training data. */
    reference: z
      .union([z.strictObject({ windows: z.int().min(1).max(999) }), z.strictObject({ from: instant, to: instant })])
      .default({ windows: 24 }),
    /** A window, or a reference, with fewer rows is not judged. */
    minRows: z.int().min(1).max(1_000_000_000).default(200),
    limits: z
      .strictObject({
        /** Change of the share of nulls. */
        nullRatio: z.number().gt(0).max(1).default(0.05),
        /** Change of the mean, in standard deviations of the reference. */
        meanShift: z.number().gt(0).default(0.5),
        /** Population stability index of values or categories; 0.1 is commonly called a minor and 0.25 a major shift. */
        psi: z.number().gt(0).default(0.25),
        /** Share of values whose category the reference does not have. */
        newCategories: z.number().min(0).max(1).default(0.01),
      })
      .prefault({}),
  })
  .superRefine(({ window, keep, reference }, context) => {
    const add = (path: string, message: string): void => void context.addIssue({ code: 'custom', path: [path], message });
    if (window < 1_000) add('window', 'a window of at least 1s is wanted');
    if ('windows' in reference) {
      if (reference.windows >= keep)
        add('reference', `${reference.windows} windows before the judged one need keep: ${reference.windows + 1} at least`);
      return;
    }
    const windows = (Date.parse(reference.to) - Date.parse(reference.from)) / window;
    if (!(windows > 0)) add('reference', '`from` lies before `to`');
    else if (windows > REFERENCE_WINDOWS_MAX)
      add(
        'reference',
        `the span has ${Math.ceil(windows)} windows; at most ${REFERENCE_WINDOWS_MAX} are kept, so take a longer window or a shorter span`,
      );
  });

export type QualityObjective = z.output<typeof qualityObjective>;
