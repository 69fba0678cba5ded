import { onlineKey } from '@headrace/codec/feature-key';
import { WINDOWS_KEY_SUFFIX } from '@headrace/windows/window-blob';
import type { View } from './view.js';

/** Redis key of the windows of one (entity, view): in the slot of its newest row. */
export function windowsKey(view: View, entityKey: string): string {
  return onlineKey(view.project, view.entity, entityKey, view.name) + WINDOWS_KEY_SUFFIX;
}
