import { stringify } from 'yaml';
import type { z } from 'zod';
import {
  type KINDS,
  parseDefinition,
  type Definition,
  type EntityDefinition,
  type FeatureServiceDefinition,
  type FeatureViewDefinition,
  type Kind,
  type ModelDefinition,
  type OnDemandViewDefinition,
} from './definition.js';

/** What stands under `kind` and `name` in YAML, checked by the compiler too. */
export type SpecInput<K extends Kind> = z.input<(typeof KINDS)[K]>;

/** @throws AppError DEFINITION_INVALID, as for the same thing in YAML; the content hash is the same too. */
export function defineEntity(name: string, spec: SpecInput<'Entity'>): EntityDefinition {
  return define('Entity', name, spec) as EntityDefinition;
}

export function defineFeatureView(name: string, spec: SpecInput<'FeatureView'>): FeatureViewDefinition {
  return define('FeatureView', name, spec) as FeatureViewDefinition;
}

export function defineOnDemandView(name: string, spec: SpecInput<'OnDemandView'>): OnDemandViewDefinition {
  return define('OnDemandView', name, spec) as OnDemandViewDefinition;
}

export function defineFeatureService(name: string, spec: SpecInput<'FeatureService'>): FeatureServiceDefinition {
  return define('FeatureService', name, spec) as FeatureServiceDefinition;
}

export function defineModel(name: string, spec: SpecInput<'Model'>): ModelDefinition {
  return define('Model', name, spec) as ModelDefinition;
}

/** A file for `headrace plan` and `headrace apply`. */
export function definitionsYaml(definitions: readonly Definition[]): string {
  return definitions.map(({ kind, name, spec }) => stringify({ kind, name, ...spec })).join('---\n');
}

function define(kind: Kind, name: string, spec: object): Definition {
  return parseDefinition({ ...spec, kind, name }, `${kind} ${name}`);
}
