import { modelChanged, outcomesObserved, rolloutChanged, trainingRequested, trainingRunChanged } from '@headrace/events/catalog';
import { subscribe, type Subscription } from '@headrace/platform/kafka/runner';
import type { INestApplicationContext } from '@nestjs/common';
import { PREDICTIONS_GROUP } from '../app/unpark-batches.js';
import { OnModelsFollowed } from './on-models-followed.js';
import { OnOutcomesObserved } from './on-outcomes-observed.js';
import { OnPredictionsLogged } from './on-predictions-logged.js';
import { predictionLog } from './prediction-log.js';

/** A group for each topic: the members of one group must all subscribe to the same topics, else partitions are dealt to those that do not read them. */
const GROUPS = {
  outcomes: 'monitor-outcomes',
  models: 'monitor-models',
  rollouts: 'monitor-rollouts',
  requests: 'monitor-training-requests',
  runs: 'monitor-training-runs',
} as const;

/** Events of the bulk topics in one call of a handler: some hundred rows each, so memory stays in the tens of MB. */
const BULK_EVENTS = 200;

export function subscriptions(app: INestApplicationContext): Subscription[] {
  const [predictions, outcomes, models] = [app.get(OnPredictionsLogged), app.get(OnOutcomesObserved), app.get(OnModelsFollowed)];
  return [
    subscribe(predictionLog, { group: PREDICTIONS_GROUP, batchMax: BULK_EVENTS, handle: (events) => predictions.handle(events) }),
    subscribe(outcomesObserved, { group: GROUPS.outcomes, batchMax: BULK_EVENTS, handle: (events) => outcomes.handle(events) }),
    subscribe(modelChanged, { group: GROUPS.models, handle: (events) => models.modelChanged(events) }),
    subscribe(rolloutChanged, { group: GROUPS.rollouts, handle: (events) => models.rolloutChanged(events) }),
    subscribe(trainingRequested, { group: GROUPS.requests, handle: (events) => models.trainingRequested(events) }),
    subscribe(trainingRunChanged, { group: GROUPS.runs, handle: (events) => models.runChanged(events) }),
  ];
}
