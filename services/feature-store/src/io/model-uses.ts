import type { RegistryDefinition } from '@headrace/contracts/registry/v1/registry';
import { isDefinitionOf, parseDefinition } from '@headrace/definitions/definition';
import type { Client } from '@headrace/platform/grpc/client';
import type { ModelUse } from '../domain/definition-users.js';

/** What the models of the registry read. Asked for plans, lineage and changes that could break a model; never when features are read. */
export class ModelUses {
  constructor(private readonly registry: Client<typeof RegistryDefinition>) {}

  /** @throws AppError DEPENDENCY_UNAVAILABLE */
  async of(project: string): Promise<ModelUse[]> {
    const { models } = await this.registry.listModels({ project });
    return models.map(({ name, spec }): ModelUse => {
      const definition = parseDefinition({ ...spec, kind: 'Model', name }, `model ${name} of the registry`);
      if (!isDefinitionOf(definition, 'Model')) return { model: name, references: [] };
      const { features, protected: watched, naive, label } = definition.spec;
      return {
        model: name,
        references: [...new Set([...features, ...watched, ...(naive === undefined ? [] : [naive]), `${label.view}:${label.feature}`])],
      };
    });
  }
}
