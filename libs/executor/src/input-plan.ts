import { AppError } from '@headrace/base/errors';
import { splitReference } from '@headrace/definitions/reference';

/** One input as the signature of a version declares it. */
export interface SignatureInput {
  readonly name: string;
  /** `view:feature` */
  readonly reference: string;
  readonly type: string;
}

/** Where a value of a column goes in the block of a request. */
export interface ColumnSlot {
  readonly name: string;
  readonly type: string;
  readonly view: string;
  readonly feature: string;
  /** number = column of the input matrix; text = a string input; the extras are logged and not fed to the model. */
  readonly kind: 'number' | 'text' | 'extraNumber' | 'extraText';
  /** Index among the slots of its kind. */
  readonly at: number;
}

/**
 * The signature of a version, compiled once: which column of a request lands where. Numeric features form the input matrix in
 * the order of the signature; each string feature is an input of its own; protected attributes that the model does not see
 * ride along for the prediction log.
 */
export interface InputPlan {
  readonly numbers: readonly ColumnSlot[];
  readonly texts: readonly ColumnSlot[];
  readonly extraNumbers: readonly ColumnSlot[];
  readonly extraTexts: readonly ColumnSlot[];
  readonly byName: ReadonlyMap<string, ColumnSlot>;
  /** What has to be looked up for an entity, by view. */
  readonly lookups: readonly { readonly view: string; readonly slots: readonly ColumnSlot[] }[];
}

const TYPES = new Set(['int64', 'float64', 'bool', 'timestamp', 'string']);

/** @throws AppError MODEL_LOAD_FAILED when the signature is empty, repeats a name or has an unknown type. */
export function compileInputPlan(features: readonly SignatureInput[], protectedFeatures: readonly SignatureInput[]): InputPlan {
  if (features.length === 0) throw new AppError('MODEL_LOAD_FAILED', 'the signature names no feature');
  const slots: Record<ColumnSlot['kind'], ColumnSlot[]> = { number: [], text: [], extraNumber: [], extraText: [] };
  const byName = new Map<string, ColumnSlot>();
  const add = (input: SignatureInput, isExtra: boolean): void => {
    if (input.type === 'embedding')
      throw new AppError(
        'MODEL_LOAD_FAILED',
        `the signature reads ${input.reference}, an embedding; models take single numbers and texts, so publish its components as features of their own`,
      );
    if (!TYPES.has(input.type))
      throw new AppError('MODEL_LOAD_FAILED', `the signature gives ${input.name} the unknown type ${JSON.stringify(input.type)}`);
    const isText = input.type === 'string';
    const kind = isExtra ? (isText ? 'extraText' : 'extraNumber') : isText ? 'text' : 'number';
    const slot: ColumnSlot = { name: input.name, type: input.type, ...splitReference(input.reference), kind, at: slots[kind].length };
    slots[kind].push(slot);
    byName.set(input.name, slot);
  };
  for (const feature of features) {
    if (byName.has(feature.name)) throw new AppError('MODEL_LOAD_FAILED', `the signature names ${feature.name} twice`);
    add(feature, false);
  }
  for (const attribute of protectedFeatures) if (!byName.has(attribute.name)) add(attribute, true);
  const lookups = [...Map.groupBy(byName.values(), (slot) => slot.view)].map(([view, ofView]) => ({ view, slots: ofView }));
  return { numbers: slots.number, texts: slots.text, extraNumbers: slots.extraNumber, extraTexts: slots.extraText, byName, lookups };
}
