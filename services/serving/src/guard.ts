import { modelChanged, predictionsLogged, rolloutChanged } from '@headrace/events/catalog';
import type { GuardTable } from '@headrace/platform/guard';

export const guard: GuardTable = {
  http: {
    'GET /models': 'models:read',
    'GET /models/:model': 'models:read',
    'GET /statistics': 'models:read',
    'POST /predict': 'predict',
  },
  grpc: {
    '/headrace.serving.v1.Prediction/Predict': 'predict',
    '/headrace.serving.v1.Prediction/PredictStream': 'predict',
    '/headrace.serving.v1.ServingAdmin/ListLoaded': 'models:read',
    '/headrace.serving.v1.ServingAdmin/LoadVersion': 'models:promote',
    '/headrace.serving.v1.ServingAdmin/SetRoute': 'models:promote',
    '/headrace.serving.v1.ServingAdmin/GetRoute': 'models:read',
    '/headrace.serving.v1.ServingAdmin/GetStatistics': 'models:read',
    '/headrace.serving.v1.ServingAdmin/DescribeVersion': 'models:read',
  },
  topics: {
    [modelChanged.topic]: 'models:write',
    [rolloutChanged.topic]: 'models:promote',
    [predictionsLogged.topic]: 'predict',
  },
};
