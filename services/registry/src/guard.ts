import { modelChanged } from '@headrace/events/catalog';
import type { GuardTable } from '@headrace/platform/guard';

export const guard: GuardTable = {
  http: {
    'PUT /artifacts/:sha256': 'models:write',
    'GET /artifacts/:sha256': 'models:read',
    'GET /models': 'models:read',
    'GET /models/:model': 'models:read',
    'GET /models/:model/versions': 'models:read',
    'GET /models/:model/versions/:version': 'models:read',
  },
  grpc: {
    '/headrace.registry.v1.Registry/ApplyModel': 'models:write',
    '/headrace.registry.v1.Registry/GetModel': 'models:read',
    '/headrace.registry.v1.Registry/ListModels': 'models:read',
    '/headrace.registry.v1.Registry/RegisterVersion': 'models:write',
    '/headrace.registry.v1.Registry/GetVersion': 'models:read',
    '/headrace.registry.v1.Registry/ListVersions': 'models:read',
    '/headrace.registry.v1.Registry/SetAlias': 'models:promote',
  },
  topics: { [modelChanged.topic]: 'models:write' },
};
