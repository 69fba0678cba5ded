import { AppError } from '@headrace/base/errors';
import { contentHash } from '@headrace/base/canonical-json';
import { NAME_PATTERN } from '@headrace/base/ids';
import { z } from 'zod';
import { entitySpec, featureViewSpec } from './feature-definitions.js';
import { modelSpec } from './model-definition.js';

/** What a user writes, one YAML document each. A kind meets its schema here and nowhere else. */
export const KINDS = { Entity: entitySpec, FeatureView: featureViewSpec, Model: modelSpec } as const;

export type Kind = keyof typeof KINDS;
export type Spec<K extends Kind> = z.output<(typeof KINDS)[K]>;

export interface Definition<K extends Kind = Kind> {
  readonly kind: K;
  readonly name: string;
  readonly spec: Spec<K>;
  /** sha256 of the spec with its defaults filled in: equal meaning, equal hash. */
  readonly contentHash: string;
}

export type EntityDefinition = Definition<'Entity'>;
export type FeatureViewDefinition = Definition<'FeatureView'>;
export type ModelDefinition = Definition<'Model'>;

/**
 * Checks one document. @param where file and line for the message, or the RPC field.
 * @throws AppError DEFINITION_INVALID naming every wrong field at once.
 */
export function parseDefinition(document: unknown, where: string): Definition {
  const head = z.object({ kind: z.string(), name: z.string() }).safeParse(document);
  if (!head.success) throw new AppError('DEFINITION_INVALID', `${where}: a definition needs \`kind\` and \`name\``);
  const { kind, name } = head.data;
  if (!isKind(kind)) throw new AppError('DEFINITION_INVALID', `${where}: unknown kind ${kind}; known: ${Object.keys(KINDS).join(', ')}`);
  if (!NAME_PATTERN.test(name))
    throw new AppError('DEFINITION_INVALID', `${where}: name ${JSON.stringify(name)} must match ${NAME_PATTERN.source}`);
  const { kind: _kind, name: _name, ...rest } = document as Record<string, unknown>;
  const parsed = KINDS[kind].safeParse(rest);
  if (!parsed.success) {
    const faults = parsed.error.issues.map((i) => `${i.path.join('.') || '(top level)'}: ${i.message}`).join('; ');
    throw new AppError('DEFINITION_INVALID', `${where}: ${kind} ${name}: ${faults}`);
  }
  return { kind, name, spec: parsed.data, contentHash: contentHash({ kind, name, spec: parsed.data }) } as Definition;
}

export function isDefinitionOf<K extends Kind>(definition: Definition, kind: K): definition is Definition<K> {
  return definition.kind === kind;
}

function isKind(kind: string): kind is Kind {
  return Object.hasOwn(KINDS, kind);
}
