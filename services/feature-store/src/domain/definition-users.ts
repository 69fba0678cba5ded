import { splitReference } from '@headrace/definitions/reference';
import type { Catalogue } from './definition-plan.js';

/** A model of the registry, and what its newest definition reads. */
export interface ModelUse {
  readonly model: string;
  readonly references: readonly string[];
}

/** One that reads a feature, such as `FeatureService fraud`. */
export interface FeatureUser {
  readonly kind: 'OnDemandView' | 'FeatureService' | 'Model';
  readonly name: string;
  readonly view: string;
  /** Undefined = the view as a whole, whatever it has. */
  readonly feature: string | undefined;
}

/** Everyone who reads a view, in the given state of the definitions. */
export function usersOf(
  view: string,
  { transforms, services }: Pick<Catalogue, 'transforms' | 'services'>,
  models: readonly ModelUse[],
): FeatureUser[] {
  const users: FeatureUser[] = [];
  for (const { definition } of transforms.values()) {
    for (const reference of Object.values(definition.spec.inputs))
      users.push({ kind: 'OnDemandView', name: definition.name, ...splitReference(reference) });
  }
  for (const { definition } of services.values()) {
    for (const picked of definition.spec.features)
      users.push({ kind: 'FeatureService', name: definition.name, view: picked.view, feature: picked.feature });
  }
  for (const { model, references } of models) {
    for (const reference of references) users.push({ kind: 'Model', name: model, ...splitReference(reference) });
  }
  return users.filter((user) => user.view === view);
}

export function userTexts(users: readonly FeatureUser[]): string[] {
  return [...new Set(users.map(({ kind, name }) => `${kind} ${name}`))];
}
