import { z } from 'zod';
import { compileExpression, type CompiledExpression, type Variable } from './expression/compile.js';
import { parseExpression } from './expression/parser.js';
import { ExpressionError, fits } from './expression/value.js';
import { VALUE_TYPES, type ValueType } from './feature-field.js';
import { featureReference } from './reference.js';
import { name, optionalList } from './scalars.js';

/** A name that an expression can use: no dash. */
const variable = z.string().regex(/^[A-Za-z][A-Za-z0-9_]{0,62}$/, 'letters, digits and _, starting with a letter, at most 63');

/** The moment of reading: the time of the request online, the event time of the label row in a training set. */
export const NOW = 'now';

const scalarTypes = VALUE_TYPES.filter((type) => type !== 'embedding');

const computedFeature = z.strictObject({
  name,
  type: z.enum(scalarTypes),
  /** See docs/reference/expressions.md. */
  expression: z.string().min(1),
  description: z.string().default(''),
  pii: z.boolean().default(false),
});

/** Features computed from others, and from values of the request, when they are asked for: one definition, run online and offline. */
export const onDemandViewSpec = z
  .strictObject({
    description: z.string().default(''),
    owner: z.string().default(''),
    tags: optionalList(z.string(), 100),
    /** Name in the expressions -> the feature that it stands for. */
    inputs: z.record(variable, featureReference).default({}),
    /** Values that come with the request; in a training set, features of the label view with these names. */
    request: optionalList(z.strictObject({ name: variable, type: z.enum(scalarTypes) }), 100),
    features: z.array(computedFeature).min(1).max(200),
  })
  .superRefine((spec, context) => {
    const add = (path: (string | number)[], message: string): void => void context.addIssue({ code: 'custom', path, message });
    const names = spec.features.map((f) => f.name);
    const variables = [...Object.keys(spec.inputs), ...(spec.request ?? []).map((r) => r.name)];
    for (const [i, one] of names.entries())
      if (names.indexOf(one) !== i) add(['features', i, 'name'], `feature names must be unique, and ${one} is taken; rename one of them`);
    for (const [i, { name: one }] of (spec.request ?? []).entries())
      if (variables.indexOf(one) !== Object.keys(spec.inputs).length + i || one === NOW)
        add(['request', i, 'name'], `${one} names something else already; rename it`);
    if (Object.hasOwn(spec.inputs, NOW)) add(['inputs', NOW], '`now` is the moment of reading; rename the input');
    for (const [i, { expression }] of spec.features.entries()) {
      const fault = faultOf(() => parseExpression(expression));
      if (fault !== undefined) add(['features', i, 'expression'], fault);
    }
  });

export type OnDemandViewSpec = z.output<typeof onDemandViewSpec>;

export interface CompiledFeature {
  readonly name: string;
  readonly type: ValueType;
  readonly pii: boolean;
  readonly expression: CompiledExpression;
}

export interface CompiledTransform {
  /** What the expressions read, in the order of the values that `evaluate` takes: the inputs, the request, then `now`. */
  readonly inputs: readonly { readonly name: string; readonly reference: string }[];
  readonly request: readonly { readonly name: string; readonly type: ValueType }[];
  readonly features: readonly CompiledFeature[];
}

/**
 * Checks the types of every expression against its inputs. @param typeOf type of a feature; a text says why there is none.
 * @returns all that is wrong instead.
 */
export function compileTransform(
  spec: OnDemandViewSpec,
  typeOf: (reference: string) => { readonly type: ValueType } | string,
): { readonly transform: CompiledTransform } | { readonly faults: readonly string[] } {
  const faults: string[] = [];
  const variables: Variable[] = [];
  const inputs = Object.entries(spec.inputs).map(([of, reference]) => ({ name: of, reference }));
  for (const { name: of, reference } of inputs) {
    const found = typeOf(reference);
    if (typeof found === 'string') faults.push(`input ${of}: ${found}`);
    else variables.push({ name: of, type: found.type });
  }
  if (faults.length > 0) return { faults };
  variables.push(...(spec.request ?? []), { name: NOW, type: 'timestamp' });
  const features = spec.features.flatMap(({ name: of, type, pii, expression: source }): CompiledFeature[] => {
    let expression: CompiledExpression | undefined;
    const fault = faultOf(() => (expression = compileExpression(source, variables)));
    if (fault !== undefined) faults.push(`feature ${of}: ${fault}`);
    else if (!fits(expression!.type, type))
      faults.push(
        `feature ${of}: the expression is ${expression!.type} and the feature ${type}; ${type === 'int64' ? 'use round or floor' : 'change one of them'}`,
      );
    else return [{ name: of, type, pii, expression: expression! }];
    return [];
  });
  return faults.length > 0 ? { faults } : { transform: { inputs, request: spec.request ?? [], features } };
}

function faultOf(compile: () => unknown): string | undefined {
  try {
    compile();
    return undefined;
  } catch (error) {
    if (error instanceof ExpressionError) return error.message;
    throw error;
  }
}
