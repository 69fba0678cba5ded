import type { RegistryDefinition } from '@headrace/contracts/registry/v1/registry';
import { AppError } from '@headrace/base/errors';
import { isDefinitionOf, parseDefinition, type ModelDefinition } from '@headrace/definitions/definition';
import type { CallOptions, Client } from '@headrace/platform/grpc/client';

/** The model as the registry has it now. @throws AppError MODEL_UNKNOWN | DEPENDENCY_UNAVAILABLE */
export async function readDefinition(
  registry: Client<typeof RegistryDefinition>,
  project: string,
  model: string,
  call: CallOptions = {},
): Promise<{ definition: ModelDefinition; champion: number }> {
  const answer = await registry.getModel({ project, model }, call);
  const definition = parseDefinition({ ...answer.spec, kind: 'Model', name: answer.name }, `model ${model} of the registry`);
  if (!isDefinitionOf(definition, 'Model'))
    throw new AppError('DEFINITION_INVALID', `the registry's ${model} is of kind ${definition.kind}`);
  return { definition, champion: answer.aliases.champion ?? 0 };
}
