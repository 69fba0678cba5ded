/** A fault of a view that people hear of; it fires once and is resolved once. */
export interface FeatureAlert {
  readonly alertId: string;
  readonly project: string;
  readonly view: string;
  /** Empty = the view as a whole. */
  readonly feature: string;
  readonly kind: 'skew' | 'freshness' | 'quality';
  readonly state: 'firing' | 'resolved';
  readonly metric: string;
  readonly value: number;
  readonly threshold: number;
  readonly samples: number;
  readonly sentence: string;
  readonly raisedAt: Date;
  readonly changedAt: Date;
}

/** What was measured; `bad` decides. */
export type Measured = Pick<
  FeatureAlert,
  'project' | 'view' | 'feature' | 'kind' | 'metric' | 'value' | 'threshold' | 'samples' | 'sentence'
> & {
  readonly bad: boolean;
};
