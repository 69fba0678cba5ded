import { z } from 'zod';

/** `view:feature` */
export const featureReference = z.string().regex(/^[A-Za-z][A-Za-z0-9_-]{0,62}:[A-Za-z][A-Za-z0-9_-]{0,62}$/, 'a reference `view:feature`');

export interface FeatureReference {
  readonly view: string;
  readonly feature: string;
}

export function splitReference(reference: string): FeatureReference {
  const colon = reference.indexOf(':');
  return { view: reference.slice(0, colon), feature: reference.slice(colon + 1) };
}
