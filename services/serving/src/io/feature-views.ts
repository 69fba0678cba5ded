import { FeatureStoreDefinition } from '@headrace/contracts/features/v1/features';
import type { BlobField } from '@headrace/codec/feature-blob';
import { isDefinitionOf, parseDefinition, type Spec } from '@headrace/definitions/definition';
import { aggregationsOf } from '@headrace/definitions/served-features';
import { createClient, type Client } from '@headrace/platform/grpc/client';
import type { LiveTlsMaterial } from '@headrace/wire/tls-material';
import type { ViewSchema } from '../domain/version-description.js';

/** The feature store's catalogue of views: asked when a version is loaded and when a blob has an unknown layout, never per request. */
export class FeatureViews {
  readonly #client: Client<typeof FeatureStoreDefinition>;

  constructor(address: string, apiKey: string, timeoutMs: number, tls: LiveTlsMaterial) {
    this.#client = createClient(FeatureStoreDefinition, address, { apiKey, defaultTimeoutMs: timeoutMs, tls });
  }

  /** Views of the project that are kept online. */
  async list(project: string): Promise<ViewSchema[]> {
    const { views } = await this.#client.listViews({ project });
    return views.flatMap((view) => {
      const definition = parseDefinition({ ...view.spec, kind: 'FeatureView', name: view.name }, `view ${view.name}`);
      if (!isDefinitionOf(definition, 'FeatureView') || !definition.spec.online) return [];
      const { entity, ttl, features, timeFeatures = [] } = definition.spec;
      const { joinKeys } = view;
      return [
        {
          ...{ name: view.name, entity, ttlMs: ttl, fields: features.map(toBlobField), joinKeys },
          windows: aggregationsOf(definition.spec),
          timeFeatures: timeFeatures.filter((feature) => feature.kind !== 'frequency'),
        },
      ];
    });
  }

  /** Those of these references whose values are personal. */
  async personal(project: string, references: readonly string[]): Promise<readonly string[]> {
    return references.length === 0 ? [] : (await this.#client.listPersonalFeatures({ project, references: [...references] })).references;
  }

  close(): Promise<void> {
    this.#client.close();
    return Promise.resolve();
  }
}

function toBlobField({ name, type, dimension }: Spec<'FeatureView'>['features'][number]): BlobField {
  return dimension === undefined ? { name, type } : { name, type, dimension };
}
