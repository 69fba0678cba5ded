import {
  alertChanged,
  modelChanged,
  outcomesObserved,
  predictionsLogged,
  rolloutChanged,
  trainingRequested,
  trainingRunChanged,
} from '@headrace/events/catalog';
import type { GuardTable } from '@headrace/platform/guard';

export const guard: GuardTable = {
  http: {
    'GET /alerts': 'monitor:read',
    'GET /alerts/:alertId': 'monitor:read',
    'GET /reports/:model': 'monitor:read',
  },
  grpc: {
    '/headrace.monitoring.v1.Monitor/GetReport': 'monitor:read',
    '/headrace.monitoring.v1.Monitor/ListAlerts': 'monitor:read',
    '/headrace.monitoring.v1.Monitor/GetAlert': 'monitor:read',
    '/headrace.monitoring.v1.Monitor/MuteAlert': 'monitor:write',
  },
  topics: {
    [predictionsLogged.topic]: 'predict',
    [outcomesObserved.topic]: 'monitor:write',
    [modelChanged.topic]: 'models:write',
    [rolloutChanged.topic]: 'predict',
    [trainingRequested.topic]: 'training:run',
    [trainingRunChanged.topic]: 'training:run',
    [alertChanged.topic]: 'monitor:write',
  },
};
