import { AppError } from '@headrace/base/errors';
import {
  blobEventTimeMs,
  blobFingerprint,
  checkBlob,
  compileBlobSchema,
  decodeNumbersInto,
  readText,
  type BlobSchema,
} from '@headrace/codec/feature-blob';
import { joinEntityKey, onlineKey, splitEntityKey } from '@headrace/codec/feature-key';
import type { FeatureBlock } from '@headrace/executor/feature-block';
import type { ColumnSlot, InputPlan } from '@headrace/executor/input-plan';
import type { ViewSchema } from './version-description.js';

/**
 * How the features of an entity are found for one version: which keys to read, and where each value of a blob goes. Compiled
 * when the version is loaded; reading a row allocates its keys and nothing else.
 */
export class EntityLookup {
  readonly #project: string;
  readonly #joinKeys: readonly string[];
  readonly #views: readonly CompiledView[];

  /** @throws AppError MODEL_LOAD_FAILED when a view or a feature of the signature is not served online. */
  constructor(project: string, joinKeys: readonly string[], plan: InputPlan, schemas: readonly ViewSchema[]) {
    this.#project = project;
    this.#joinKeys = joinKeys;
    this.#views = plan.lookups.map(({ view, slots }) => compileView(view, slots, schemas));
  }

  /** Keys to read for one row. */
  get keysPerRow(): number {
    return this.#views.length;
  }

  /** @param key as the request gave it. @throws AppError INPUT_INVALID when it has not as many parts as the entity has keys. */
  addKeys(key: string, keys: string[]): void {
    const joined = this.#joined(key);
    for (const { schema } of this.#views) keys.push(onlineKey(this.#project, schema.entity, joined, schema.name));
  }

  /**
   * Writes what the blobs hold into the row.
   * @param from place of the row's first blob in `blobs`, in the order of `addKeys`.
   */
  fill(blobs: readonly (Buffer | null)[], from: number, block: FeatureBlock, row: number, nowMs: number, into: RowLookup): void {
    into.oldestEventTimeMs = 0;
    into.missingViews = 0;
    into.unknownLayouts = 0;
    into.corruptBlobs = 0;
    for (let v = 0; v < this.#views.length; v++) {
      const view = this.#views[v]!;
      const blob = blobs[from + v] ?? null;
      const layout = blob === null ? undefined : layoutOf(view, blob, into);
      const eventTimeMs = layout ? blobEventTimeMs(blob!) : Number.NaN;
      const isExpired = view.schema.ttlMs > 0 && nowMs - eventTimeMs > view.schema.ttlMs;
      if (!layout || isExpired) {
        into.missingViews++;
        continue;
      }
      if (into.oldestEventTimeMs === 0 || eventTimeMs < into.oldestEventTimeMs) into.oldestEventTimeMs = eventTimeMs;
      layout.write(blob!, block, row);
    }
  }

  /** One key goes as it is; several come joined by `|` in the order of the signature, with `|` and `\` escaped. */
  #joined(key: string): string {
    if (key === '') throw new AppError('INPUT_INVALID', 'an entity key is empty');
    if (this.#joinKeys.length === 1) return joinEntityKey([key]);
    const parts = splitEntityKey(key);
    if (parts.length !== this.#joinKeys.length) {
      throw new AppError(
        'INPUT_INVALID',
        `entity key ${JSON.stringify(key)} has ${parts.length} part(s); the entity has the keys ${this.#joinKeys.join('|')}`,
      );
    }
    return joinEntityKey(parts);
  }
}

/** What the lookup of one row found; reused from row to row. */
export interface RowLookup {
  /** ms since the epoch; 0 = nothing was found. */
  oldestEventTimeMs: number;
  /** Views without a usable blob: never published, past their maximum age, or unreadable. */
  missingViews: number;
  unknownLayouts: number;
  corruptBlobs: number;
}

export const emptyRowLookup = (): RowLookup => ({ oldestEventTimeMs: 0, missingViews: 0, unknownLayouts: 0, corruptBlobs: 0 });

interface CompiledView {
  /** The newest. */
  readonly schema: ViewSchema;
  /** Newest first: after a change of the view, rows in the former layout stand in the store until they are written anew. */
  readonly layouts: readonly CompiledLayout[];
}

interface CompiledLayout {
  readonly blob: BlobSchema;
  readonly write: (blob: Buffer, block: FeatureBlock, row: number) => void;
}

function layoutOf(view: CompiledView, blob: Buffer, into: RowLookup): CompiledLayout | undefined {
  const fingerprint = blobFingerprint(blob);
  const layout = view.layouts.find((candidate) => candidate.blob.fingerprint === fingerprint);
  if (!layout && fingerprint !== 0) into.unknownLayouts++;
  else if (!layout || checkBlob(layout.blob, blob) !== 'none') {
    into.corruptBlobs++;
    return undefined;
  }
  return layout;
}

function compileView(name: string, slots: readonly ColumnSlot[], schemas: readonly ViewSchema[]): CompiledView {
  const ofView = schemas.filter((candidate) => candidate.name === name);
  const [schema] = ofView;
  if (!schema) throw new AppError('MODEL_LOAD_FAILED', `the signature reads view ${name}, which is not served online`);
  for (const { feature } of slots) {
    if (!ofView.some(({ fields }) => fields.some((field) => field.name === feature)))
      throw new AppError('MODEL_LOAD_FAILED', `the signature reads ${name}:${feature}; the view has no such feature`);
  }
  return { schema, layouts: ofView.map((layout) => compileLayout(layout, slots)) };
}

/** A feature that this layout does not have stays missing. */
function compileLayout(schema: ViewSchema, allSlots: readonly ColumnSlot[]): CompiledLayout {
  const blob = compileBlobSchema(schema.fields);
  const indexOf = (slot: ColumnSlot): number => blob.indexOf.get(slot.feature)!;
  const slots = allSlots.filter((slot) => blob.indexOf.has(slot.feature));
  const numeric = slots.filter((slot) => slot.kind === 'number' || slot.kind === 'extraNumber');
  const texts = slots.filter((slot) => slot.kind === 'text' || slot.kind === 'extraText').map((slot) => ({ slot, index: indexOf(slot) }));
  const indices = Int32Array.from(numeric, indexOf);
  const places = Int32Array.from(numeric, (slot) => slot.at);
  const isExtra = Uint8Array.from(numeric, (slot) => (slot.kind === 'extraNumber' ? 1 : 0));
  const scratch = new Float64Array(numeric.length);
  return {
    blob,
    write: (bytes, block, row) => {
      decodeNumbersInto(blob, bytes, indices, scratch, 0);
      for (let i = 0; i < scratch.length; i++) {
        if (isExtra[i]) block.extraNumbers[row * block.extraWidth + places[i]!] = scratch[i]!;
        else block.numbers[row * block.width + places[i]!] = scratch[i]!;
      }
      for (const { slot, index } of texts)
        (slot.kind === 'text' ? block.texts : block.extraTexts)[slot.at]![row] = readText(blob, bytes, index) ?? '';
    },
  };
}

/** Layouts of one view that are remembered; an older one is read as missing. */
const LAYOUTS_MAX = 4;

/** What is known of views, newest first: `fresh` and what was known before and differs from it. */
export function mergeViews(fresh: readonly ViewSchema[], known: readonly ViewSchema[]): ViewSchema[] {
  const merged: ViewSchema[] = [];
  const seen = new Set<string>();
  for (const view of [...fresh, ...known]) {
    const layout = JSON.stringify([view.name, view.fields]);
    if (seen.has(layout) || merged.filter((one) => one.name === view.name).length >= LAYOUTS_MAX) continue;
    seen.add(layout);
    merged.push(view);
  }
  return merged;
}
