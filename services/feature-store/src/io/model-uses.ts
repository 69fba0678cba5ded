import type { Model, RegistryDefinition, Version } from '@headrace/contracts/registry/v1/registry';
import { isDefinitionOf, parseDefinition } from '@headrace/definitions/definition';
import type { Client } from '@headrace/platform/grpc/client';
import type { ModelUse } from '../domain/definition-users.js';
import type { ModelLineage } from '../domain/lineage.js';

/** Of one model. */
const VERSIONS_MAX = 50;

/** What the models of the registry read. Asked for plans, lineage and changes that could break a model; never when features are read. */
export class ModelUses {
  constructor(private readonly registry: Client<typeof RegistryDefinition>) {}

  /** @throws AppError DEPENDENCY_UNAVAILABLE */
  async of(project: string): Promise<ModelUse[]> {
    const { models } = await this.registry.listModels({ project });
    return models.map(useOf);
  }

  /** With their newest versions, for lineage. @throws AppError DEPENDENCY_UNAVAILABLE */
  async withVersions(project: string): Promise<ModelLineage[]> {
    const { models } = await this.registry.listModels({ project });
    const told: ModelLineage[] = [];
    for (const stored of models) {
      const { model, references } = useOf(stored);
      const { versions } = await this.registry.listVersions({ project, model });
      const owner: unknown = stored.spec?.owner;
      const newest = versions.toSorted((a, b) => b.version - a.version).slice(0, VERSIONS_MAX);
      told.push({
        model,
        owner: typeof owner === 'string' ? owner : '',
        definitionVersion: stored.definitionVersion,
        references,
        versions: newest.map(toVersion),
      });
    }
    return told;
  }
}

function useOf({ name, spec }: Model): ModelUse {
  const definition = parseDefinition({ ...spec, kind: 'Model', name }, `model ${name} of the registry`);
  if (!isDefinitionOf(definition, 'Model')) return { model: name, references: [] };
  const { features, protected: watched, naive, label } = definition.spec;
  return {
    model: name,
    references: [...new Set([...features, ...watched, ...(naive === undefined ? [] : [naive]), `${label.view}:${label.feature}`])],
  };
}

function toVersion({ version, state, signature, lineage }: Version): ModelLineage['versions'][number] {
  const features = [...(signature?.features ?? []), ...(signature?.protectedFeatures ?? [])];
  return {
    version,
    state: state.replace('VERSION_STATE_', '').toLowerCase(),
    references: [...new Set(features.map(({ reference }) => reference))],
    trainingSet: lineage?.trainingSetHash ?? '',
  };
}
