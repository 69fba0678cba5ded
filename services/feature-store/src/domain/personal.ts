import { splitReference } from '@headrace/definitions/reference';
import { servedFeatures } from '@headrace/definitions/served-features';
import type { Definitions } from './derived-features.js';
import type { Transform } from './transform.js';

/** Whether values of a feature are personal: marked so, or made of one that is. Of what is not known nothing is shown either. */
export function isPersonal(reference: string, definitions: Definitions): boolean {
  const { view: name, feature } = splitReference(reference);
  const view = definitions.view(name);
  if (view) return servedFeatures(view.spec).find((one) => one.name === feature)?.pii ?? true;
  const transform = definitions.transform(name);
  const computed = transform?.compiled.features.find((one) => one.name === feature);
  if (!transform || !computed) return true;
  return computed.pii || readReferences(transform, feature).some((input) => isPersonal(input, definitions));
}

/** Of views that are known here; a feature that was taken out of one counts as personal. */
export function personalAmong(references: readonly string[], definitions: Definitions): string[] {
  return references.filter((reference) => {
    const { view } = splitReference(reference);
    return (definitions.view(view) ?? definitions.transform(view)) !== undefined && isPersonal(reference, definitions);
  });
}

/** What the expression of a computed feature reads, without the values of the request. */
export function readReferences({ compiled: { inputs, features } }: Transform, feature: string): string[] {
  const reads = features.find((one) => one.name === feature)?.expression.reads ?? [];
  return reads.flatMap((i) => inputs[i]?.reference ?? []);
}
