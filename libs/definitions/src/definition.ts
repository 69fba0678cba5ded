import { AppError } from '@headrace/base/errors';
import { contentHash } from '@headrace/base/canonical-json';
import { NAME_PATTERN } from '@headrace/base/ids';
import { z } from 'zod';
import { documentFaults, faultText, type DocumentFault } from './document-faults.js';
import { entitySpec } from './entity.js';
import { featureServiceSpec } from './feature-service.js';
import { featureViewSpec } from './feature-view.js';
import { modelSpec } from './model-definition.js';
import { onDemandViewSpec } from './on-demand-view.js';

/** What a user writes, one YAML document each. A kind meets its schema here and nowhere else. */
export const KINDS = {
  Entity: entitySpec,
  FeatureView: featureViewSpec,
  OnDemandView: onDemandViewSpec,
  FeatureService: featureServiceSpec,
  Model: modelSpec,
} as const;

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
export type FeatureServiceDefinition = Definition<'FeatureService'>;
export type OnDemandViewDefinition = Definition<'OnDemandView'>;
export type ModelDefinition = Definition<'Model'>;

/**
 * Checks one document. @param where file and line for the message, or the RPC field.
 * @throws AppError DEFINITION_INVALID naming every wrong field at once.
 */
export function parseDefinition(document: unknown, where: string): Definition {
  const read = readDefinition(document);
  if ('definition' in read) return read.definition;
  throw new AppError('DEFINITION_INVALID', `${where}: ${read.about}${read.faults.map(faultText).join('; ')}`);
}

export interface Refused {
  /** Kind and name, as far as the document tells them, with a colon behind; or empty. */
  readonly about: string;
  readonly faults: readonly DocumentFault[];
}

/** One document, or all that is wrong with it. */
export function readDefinition(document: unknown): { readonly definition: Definition } | Refused {
  const head = z.object({ kind: z.string(), name: z.string() }).safeParse(document);
  if (!head.success) return { about: '', faults: [{ path: [], message: 'a definition needs `kind` and `name`' }] };
  const { kind, name } = head.data;
  if (!isKind(kind)) {
    const message = `unknown kind ${kind}; known: ${Object.keys(KINDS).join(', ')}`;
    return { about: '', faults: [{ path: ['kind'], message }] };
  }
  const about = `${kind} ${name}: `;
  const { kind: _kind, name: _name, ...rest } = document as Record<string, unknown>;
  const schema: z.ZodType = KINDS[kind];
  const parsed = schema.safeParse(rest);
  const faults = parsed.success ? [] : documentFaults(schema, rest, parsed.error);
  if (!NAME_PATTERN.test(name)) faults.unshift({ path: ['name'], message: `${JSON.stringify(name)} must match ${NAME_PATTERN.source}` });
  if (!parsed.success || faults.length > 0) return { about, faults };
  const spec = parsed.data as Spec<Kind>;
  return { definition: { kind, name, spec, contentHash: contentHash({ kind, name, spec }) } as Definition };
}

export function isDefinitionOf<K extends Kind>(definition: Definition, kind: K): definition is Definition<K> {
  return definition.kind === kind;
}

function isKind(kind: string): kind is Kind {
  return Object.hasOwn(KINDS, kind);
}
