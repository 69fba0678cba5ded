import { featureRowsPublished } from '@headrace/events/catalog';
import type { GuardTable } from '@headrace/platform/guard';

export const guard: GuardTable = {
  http: {
    'GET /views': 'features:read',
    'GET /training-sets/:file': 'training:read',
    'POST /frames': 'training:run',
    'POST /joins': 'training:run',
    'GET /joins': 'training:read',
    'GET /joins/:id': 'training:read',
    'POST /joins/:id/cancel': 'training:run',
    'POST /joins/:id/restart': 'training:run',
    'POST /rows': 'features:write',
    'POST /push': 'features:write',
    'POST /write-to-online-store': 'features:write',
    'POST /get-online-features': 'features:read',
  },
  grpc: {
    '/headrace.features.v1.FeatureStore/Apply': 'features:write',
    '/headrace.features.v1.FeatureStore/ListViews': 'features:read',
    '/headrace.features.v1.FeatureStore/PublishRows': 'features:write',
    '/headrace.features.v1.FeatureStore/GetOnlineFeatures': 'features:read',
    '/headrace.features.v1.FeatureStore/BuildTrainingSet': 'training:run',
    '/headrace.features.v1.FeatureStore/GetTrainingSet': 'training:read',
    '/headrace.features.v1.FeatureStore/RebuildOnline': 'admin',
    '/headrace.features.v1.PointInTimeJoins/StartJoin': 'training:run',
    '/headrace.features.v1.PointInTimeJoins/GetJoin': 'training:read',
    '/headrace.features.v1.PointInTimeJoins/ListJoins': 'training:read',
    '/headrace.features.v1.PointInTimeJoins/CancelJoin': 'training:run',
    '/headrace.features.v1.PointInTimeJoins/RestartJoin': 'training:run',
  },
  topics: { [featureRowsPublished.topic]: 'features:write' },
};
