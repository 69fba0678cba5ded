import { AppError } from '@headrace/base/errors';
import { DEFAULT_PROJECT } from '@headrace/base/ids';
import { FeatureStoreDefinition } from '@headrace/contracts/features/v1/features';
import { createClient, type ClientOptions } from '@headrace/platform/grpc/client';

const PROJECTS_MAX = 1_000;

/**
 * The loop shows an unmitigated champion being found out, so it needs a project that has none yet: `default` the first time, then
 * `employment-2`, `employment-3` and so on. What earlier runs or other users left in their projects is not touched.
 */
export async function freshProject(
  address: string,
  apiKey: string,
  tls: ClientOptions<typeof FeatureStoreDefinition>['tls'],
): Promise<string> {
  const features = createClient(FeatureStoreDefinition, address, { ...(apiKey ? { apiKey } : {}), tls, defaultTimeoutMs: 60_000 });
  try {
    for (let n = 1; n <= PROJECTS_MAX; n++) {
      const project = n === 1 ? DEFAULT_PROJECT : `employment-${n}`;
      if ((await features.listViews({ project })).views.length === 0) return project;
    }
  } finally {
    features.close();
  }
  throw new AppError(
    'REQUEST_INVALID',
    `the example has run in ${PROJECTS_MAX} projects of this state folder; \`npm run clean\` empties it`,
  );
}
