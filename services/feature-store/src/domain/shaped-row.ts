import type { FeatureValue } from '@headrace/codec/feature-blob';
import type { NamedValues, Shape } from '@headrace/codec/named-values';
import { isValueFault, readField, type ValueLimits } from './feature-value.js';
import { keyFault } from './join-key.js';
import type { View } from './view.js';

/**
 * Rows of the hot codec that fit their view, in the order of the view; undefined when anything is not as it should be, and the
 * long way in feature-row.ts finds out what. Where a name lies is worked out once for the rows that share their names.
 */
export function readShapedValues(view: View, { shape, values: given }: NamedValues, limits: ValueLimits): FeatureValue[] | undefined {
  const { slots, others, plain } = planOf(valuePlans, shape, view);
  for (const slot of others) if (given[slot] !== undefined) return undefined;
  const { features } = view.spec;
  const values = new Array<FeatureValue>(slots.length);
  for (let i = 0; i < slots.length; i++) {
    const slot = slots[i]!;
    const value = slot < 0 ? undefined : given[slot];
    if (typeof value === 'number' && (plain[i] === FLOAT64 ? Number.isFinite(value) : plain[i] === INT64 && Number.isSafeInteger(value))) {
      values[i] = value + 0; // -0 becomes 0
      continue;
    }
    const read = readField(features[i]!, value, limits);
    if (isValueFault(read)) return undefined;
    values[i] = read;
  }
  return values;
}

export function readShapedKeys(view: View, { shape, values }: NamedValues): string[] | undefined {
  const { slots, others } = planOf(keyPlans, shape, view);
  for (const slot of others) if (values[slot] !== undefined) return undefined;
  const keys = new Array<string>(slots.length);
  for (let i = 0; i < slots.length; i++) {
    const key = slots[i]! < 0 ? undefined : values[slots[i]!];
    if (typeof key !== 'string' || keyFault(key) !== undefined) return undefined;
    keys[i] = key;
  }
  return keys;
}

const FLOAT64 = 1;
const INT64 = 2;

interface Plan {
  readonly view: View;
  /** Where each of the view's fields lies in the row; -1 = nowhere. */
  readonly slots: Int32Array;
  /** Slots of names that the view does not have. */
  readonly others: readonly number[];
  /** FLOAT64 or INT64 for features of that type without further rules, else 0. */
  readonly plain: Uint8Array;
}

/** The last view of each shape: a shape belongs to one publisher, who sends one view after the other. */
type Plans = WeakMap<Shape, Plan>;
const valuePlans: Plans = new WeakMap();
const keyPlans: Plans = new WeakMap();

function planOf(plans: Plans, shape: Shape, view: View): Plan {
  const known = plans.get(shape);
  if (known?.view === view) return known;
  const slotOf = new Map(shape.names.map((name, slot) => [name, slot]));
  const wanted = plans === keyPlans ? view.joinKeys : view.spec.features.map(({ name }) => name);
  const names = new Set(wanted);
  const plan: Plan = {
    view,
    slots: Int32Array.from(wanted, (name) => slotOf.get(name) ?? -1),
    others: shape.names.flatMap((name, slot) => (names.has(name) ? [] : [slot])),
    plain: Uint8Array.from(view.spec.features, plainType),
  };
  plans.set(shape, plan);
  return plan;
}

function plainType({ type, min, max, oneOf }: View['spec']['features'][number]): number {
  if (min !== undefined || max !== undefined || oneOf !== undefined) return 0;
  return type === 'float64' ? FLOAT64 : type === 'int64' ? INT64 : 0;
}
