import { trainingRequested, trainingRunChanged } from '@headrace/events/catalog';
import type { GuardTable } from '@headrace/platform/guard';

export const guard: GuardTable = {
  http: {
    'GET /runs': 'training:read',
    'GET /runs/:id': 'training:read',
    'GET /workers': 'training:read',
  },
  grpc: {
    '/headrace.training.v1.Trainer/RequestRun': 'training:run',
    '/headrace.training.v1.Trainer/GetRun': 'training:read',
    '/headrace.training.v1.Trainer/ListRuns': 'training:read',
    '/headrace.training.v1.Trainer/CancelRun': 'training:run',
  },
  topics: { [trainingRequested.topic]: 'training:run', [trainingRunChanged.topic]: 'training:run' },
};
