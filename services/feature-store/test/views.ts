import { featureViewSpec } from '@headrace/definitions/feature-view';
import type { z } from 'zod';
import { compileView, type View } from '../src/domain/view.js';

/** A compiled view for tests of pure code. */
export function viewOf(spec: Partial<z.input<typeof featureViewSpec>> & { joinKeys?: string[]; name?: string; id?: number }): View {
  const { joinKeys = ['id'], name = 'v', id = 1, ...rest } = spec;
  const full = featureViewSpec.parse({ entity: 'e', features: [{ name: 'a', type: 'int64' }], ...rest });
  return compileView({
    id,
    project: 'default',
    name,
    joinKeys,
    partitionMonths: 12,
    versions: [{ version: 1, contentHash: `hash-of-${name}`, spec: full }],
  });
}
