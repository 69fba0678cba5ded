import { modelChanged, outcomesObserved, rolloutChanged, trainingRequested, trainingRunChanged } from '@headrace/events/catalog';
import { subscribe, type Subscription } from '@headrace/platform/kafka/runner';
import type { INestApplicationContext } from '@nestjs/common';
import { MONITOR_GROUP as group } from '../app/unpark-batches.js';
import { OnModelsFollowed } from './on-models-followed.js';
import { OnOutcomesObserved } from './on-outcomes-observed.js';
import { OnPredictionsLogged } from './on-predictions-logged.js';
import { predictionLog } from './prediction-log.js';

/** Events of the bulk topics in one call of a handler: some hundred rows each, so memory stays in the tens of MB. */
const BULK_EVENTS = 200;

export function subscriptions(app: INestApplicationContext): Subscription[] {
  const [predictions, outcomes, models] = [app.get(OnPredictionsLogged), app.get(OnOutcomesObserved), app.get(OnModelsFollowed)];
  return [
    subscribe(predictionLog, { group, batchMax: BULK_EVENTS, handle: (events) => predictions.handle(events) }),
    subscribe(outcomesObserved, { group, batchMax: BULK_EVENTS, handle: (events) => outcomes.handle(events) }),
    subscribe(modelChanged, { group, handle: (events) => models.modelChanged(events) }),
    subscribe(rolloutChanged, { group, handle: (events) => models.rolloutChanged(events) }),
    subscribe(trainingRequested, { group, handle: (events) => models.trainingRequested(events) }),
    subscribe(trainingRunChanged, { group, handle: (events) => models.runChanged(events) }),
  ];
}
