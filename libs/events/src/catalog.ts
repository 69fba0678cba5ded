import {
  AlertChanged,
  FeatureRowsPublished,
  ModelChanged,
  OutcomesObserved,
  PredictionsLogged,
  RolloutChanged,
  TrainingRequested,
  TrainingRunChanged,
} from '@headrace/contracts/events/v1/events';

/**
 * Every event of the platform, once: its message, its topic, its key, who sends it and who listens. This file is the only
 * place where a message meets a topic; the architecture test refuses a topic name anywhere else.
 */
export interface EventType<T> {
  /** CloudEvents `type`. */
  readonly type: string;
  readonly topic: string;
  readonly message: MessageCodec<T>;
  /** Events with equal keys keep their order. */
  readonly key: (event: T) => string;
  /** CloudEvents `subject`: what the event is about. */
  readonly subject: (event: T) => string;
  readonly project: (event: T) => string;
  /** Anyone outside may send it, so JSON is accepted and nothing in it is trusted. */
  readonly inbound: boolean;
  readonly producers: readonly ServiceName[];
  readonly consumers: readonly ServiceName[];
  readonly partitions: number;
}

export type ServiceName = 'feature-store' | 'registry' | 'trainer' | 'serving' | 'monitor';

/** What ts-proto generates for a message. */
export interface MessageCodec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
  fromJSON(object: unknown): T;
  toJSON(message: T): unknown;
}

const define = <T>(event: EventType<T>): EventType<T> => event;

export const featureRowsPublished = define<FeatureRowsPublished>({
  type: 'dev.headrace.features.rows-published.v1',
  topic: 'headrace.features.v1',
  message: FeatureRowsPublished,
  key: (e) => `${e.project}/${e.view}/${Object.values(e.rows[0]?.entity ?? {}).join('|')}`,
  subject: (e) => e.view,
  project: (e) => e.project,
  inbound: true,
  producers: [],
  consumers: ['feature-store'],
  partitions: 4,
});

export const outcomesObserved = define<OutcomesObserved>({
  type: 'dev.headrace.outcomes.observed.v1',
  topic: 'headrace.outcomes.v1',
  message: OutcomesObserved,
  key: (e) => `${e.project}/${e.outcomes[0]?.predictionId ?? ''}`,
  subject: () => 'outcomes',
  project: (e) => e.project,
  inbound: true,
  producers: [],
  consumers: ['monitor'],
  partitions: 4,
});

export const trainingRequested = define<TrainingRequested>({
  type: 'dev.headrace.training.requested.v1',
  topic: 'headrace.training.requested.v1',
  message: TrainingRequested,
  key: (e) => `${e.project}/${e.model}`,
  subject: (e) => e.model,
  project: (e) => e.project,
  inbound: true,
  producers: ['monitor'],
  consumers: ['trainer', 'monitor'],
  partitions: 1,
});

export const trainingRunChanged = define<TrainingRunChanged>({
  type: 'dev.headrace.training.run-changed.v1',
  topic: 'headrace.training.runs.v1',
  message: TrainingRunChanged,
  key: (e) => `${e.run?.project}/${e.run?.model}`,
  subject: (e) => e.run?.runId ?? '',
  project: (e) => e.run?.project ?? '',
  inbound: false,
  producers: ['trainer'],
  consumers: ['monitor'],
  partitions: 1,
});

export const modelChanged = define<ModelChanged>({
  type: 'dev.headrace.models.changed.v1',
  topic: 'headrace.models.v1',
  message: ModelChanged,
  key: (e) => `${e.project}/${e.model}`,
  subject: (e) => `${e.model}/${e.version}`,
  project: (e) => e.project,
  inbound: false,
  producers: ['registry'],
  consumers: ['serving', 'monitor'],
  partitions: 1,
});

export const rolloutChanged = define<RolloutChanged>({
  type: 'dev.headrace.rollouts.changed.v1',
  topic: 'headrace.rollouts.v1',
  message: RolloutChanged,
  key: (e) => `${e.project}/${e.model}`,
  subject: (e) => `${e.model}/${e.version}`,
  project: (e) => e.project,
  inbound: false,
  producers: ['serving'],
  consumers: ['monitor'],
  partitions: 1,
});

export const predictionsLogged = define<PredictionsLogged>({
  type: 'dev.headrace.predictions.logged.v1',
  topic: 'headrace.predictions.v1',
  message: PredictionsLogged,
  key: (e) => `${e.project}/${e.model}`,
  subject: (e) => `${e.model}/${e.version}`,
  project: (e) => e.project,
  inbound: false,
  producers: ['serving'],
  consumers: ['monitor'],
  partitions: 4,
});

export const alertChanged = define<AlertChanged>({
  type: 'dev.headrace.alerts.changed.v1',
  topic: 'headrace.alerts.v1',
  message: AlertChanged,
  key: (e) => `${e.alert?.project}/${e.alert?.model}`,
  subject: (e) => e.alert?.alertId ?? '',
  project: (e) => e.alert?.project ?? '',
  inbound: false,
  producers: ['monitor', 'feature-store'],
  consumers: [],
  partitions: 1,
});

/** All of them; a tuple-free list for tables, topic creation and docs. */
export const CATALOG: readonly EventType<never>[] = [
  featureRowsPublished,
  outcomesObserved,
  trainingRequested,
  trainingRunChanged,
  modelChanged,
  rolloutChanged,
  predictionsLogged,
  alertChanged,
] as unknown as readonly EventType<never>[];

/** Where events go that could not be handled: original bytes and headers, plus the reason. */
export const deadLetterTopic = (topic: string): string => `${topic}.dead`;
