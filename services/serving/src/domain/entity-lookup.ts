import { AppError } from '@headrace/base/errors';
import {
  blobEventTimeMs,
  blobFingerprint,
  checkBlob,
  compileBlobSchema,
  decodeNumbersInto,
  isErased,
  readText,
} from '@headrace/codec/feature-blob';
import { timeFeatureValue } from '@headrace/definitions/time-feature';
import type { WindowValue } from '@headrace/windows/measure';
import { readWindows, windowBlobFingerprint, WINDOWS_KEY_SUFFIX } from '@headrace/windows/window-blob';
import { WindowFold } from '@headrace/windows/window-fold';
import { compileWindowPlan } from '@headrace/windows/window-plan';
import { joinEntityKey, onlineKey, splitEntityKey } from '@headrace/codec/feature-key';
import type { FeatureBlock } from '@headrace/executor/feature-block';
import type { ColumnSlot, InputPlan } from '@headrace/executor/input-plan';
import type { ComputedTimeFeature, ViewSchema } from './version-description.js';

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
    this.#views = plan.lookups.flatMap(({ view, slots }) => compileView(view, slots, schemas, joinKeys));
  }

  /** Keys to read for one row. */
  get keysPerRow(): number {
    return this.#views.length;
  }

  /** @param key as the request gave it. @throws AppError INPUT_INVALID when it has not as many parts as the entity has keys. */
  addKeys(key: string, keys: string[]): void {
    const parts = this.#parts(key);
    const joined = joinEntityKey(parts);
    for (const { schema, keyParts, keySuffix } of this.#views) {
      const own = keyParts ? joinEntityKey(keyParts.map((part) => parts[part]!)) : joined;
      keys.push(onlineKey(this.#project, schema.entity, own, schema.name) + keySuffix);
    }
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
      const eventTimeMs = layout ? layout.open(blob!, nowMs, into) : Number.NaN;
      const isExpired = view.schema.ttlMs > 0 && nowMs - eventTimeMs > view.schema.ttlMs;
      if (!layout || Number.isNaN(eventTimeMs) || isExpired) {
        into.missingViews++;
        continue;
      }
      if (into.oldestEventTimeMs === 0 || eventTimeMs < into.oldestEventTimeMs) into.oldestEventTimeMs = eventTimeMs;
      layout.write(blob!, block, row, nowMs);
    }
  }

  /** One key goes as it is; several come joined by `|` in the order of the signature, with `|` and `\` escaped. */
  #parts(key: string): string[] {
    if (key === '') throw new AppError('INPUT_INVALID', 'an entity key is empty');
    if (this.#joinKeys.length === 1) return [key];
    const parts = splitEntityKey(key);
    if (parts.length !== this.#joinKeys.length) {
      throw new AppError(
        'INPUT_INVALID',
        `entity key ${JSON.stringify(key)} has ${parts.length} part(s); the entity has the keys ${this.#joinKeys.join('|')}`,
      );
    }
    return parts;
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

/** What is read under one key: the newest row of a view, or its windows. */
interface CompiledView {
  /** The newest. */
  readonly schema: ViewSchema;
  /** Which parts of the entity key name the view's entity, in its order; undefined = all as they are. */
  readonly keyParts: readonly number[] | undefined;
  readonly keySuffix: string;
  /** Newest first: after a change of the view, rows in the former layout stand in the store until they are written anew. */
  readonly layouts: readonly CompiledLayout[];
}

interface CompiledLayout {
  readonly fingerprint: number;
  /** @returns the event time of the values; NaN when there are none, and a corrupt blob is counted. */
  readonly open: (blob: Buffer, nowMs: number, into: RowLookup) => number;
  /** After `open` of the same blob. */
  readonly write: (blob: Buffer, block: FeatureBlock, row: number, nowMs: number) => void;
}

function layoutOf(view: CompiledView, blob: Buffer, into: RowLookup): CompiledLayout | undefined {
  const fingerprint = view.keySuffix === '' ? blobFingerprint(blob) : windowBlobFingerprint(blob);
  const layout = view.layouts.find((candidate) => candidate.fingerprint === fingerprint);
  if (layout || isErased(blob)) return layout;
  if (fingerprint !== 0) into.unknownLayouts++;
  else into.corruptBlobs++;
  return undefined;
}

function compileView(
  name: string,
  slots: readonly ColumnSlot[],
  schemas: readonly ViewSchema[],
  joinKeys: readonly string[],
): CompiledView[] {
  const ofView = schemas.filter((candidate) => candidate.name === name);
  const [schema] = ofView;
  if (!schema) throw new AppError('MODEL_LOAD_FAILED', `the signature reads view ${name}, which is not served online`);
  const isStored = (feature: string): boolean => ofView.some(({ fields }) => fields.some((field) => field.name === feature));
  const isWindow = (feature: string): boolean => ofView.some(({ windows }) => windows?.some((window) => window.name === feature));
  // The newest definition holds for rows in a former layout as well: nothing of a time feature is stored.
  const timeOf = new Map(ofView.toReversed().flatMap(({ timeFeatures = [] }) => timeFeatures.map((feature) => [feature.name, feature])));
  const stored = slots.filter(({ feature }) => isStored(feature) || timeOf.has(feature));
  const windows = slots.filter((slot) => !stored.includes(slot) && isWindow(slot.feature));
  const unknown = slots.find((slot) => !stored.includes(slot) && !windows.includes(slot));
  if (unknown) throw new AppError('MODEL_LOAD_FAILED', `the signature reads ${name}:${unknown.feature}; the view has no such feature`);
  const keyParts = keyPartsOf(schema, joinKeys);
  const parts: CompiledView[] = [];
  if (stored.length > 0)
    parts.push({ schema, keyParts, keySuffix: '', layouts: ofView.map((layout) => compileLayout(layout, stored, timeOf)) });
  if (windows.length > 0)
    parts.push({ schema, keyParts, keySuffix: WINDOWS_KEY_SUFFIX, layouts: ofView.flatMap((layout) => compileWindows(layout, windows)) });
  return parts;
}

/** The view may know its entity by fewer keys than the model, or by another order. */
function keyPartsOf({ name, joinKeys: own }: ViewSchema, joinKeys: readonly string[]): number[] | undefined {
  if (!own || own.length === 0 || own.join() === joinKeys.join()) return undefined;
  return own.map((key) => {
    const part = joinKeys.indexOf(key);
    if (part < 0)
      throw new AppError(
        'MODEL_LOAD_FAILED',
        `view ${name} is keyed by ${own.join(', ')}, and the entity of the model has ${joinKeys.join(', ')} only`,
      );
    return part;
  });
}

/** Windows are computed from the tiles of the blob at the moment of the request, by the code of the feature store. */
function compileWindows({ windows = [] }: ViewSchema, allSlots: readonly ColumnSlot[]): CompiledLayout[] {
  if (windows.length === 0) return [];
  const plan = compileWindowPlan(windows);
  const fold = new WindowFold(plan);
  const slots = allSlots.flatMap((slot) => {
    const index = plan.indexOf.get(slot.feature);
    return index === undefined ? [] : [{ slot, index }];
  });
  return [
    {
      fingerprint: plan.fingerprint,
      open: (blob, nowMs, into) => {
        if (readWindows(blob, fold, nowMs) === 'none') return fold.newestMs;
        into.corruptBlobs++;
        return Number.NaN;
      },
      write: (_blob, block, row) => {
        for (const { slot, index } of slots) writeValue(block, row, slot, fold.values[index]!);
      },
    },
  ];
}

function writeValue(block: FeatureBlock, row: number, slot: ColumnSlot, value: WindowValue): void {
  switch (slot.kind) {
    case 'number':
      block.numbers[row * block.width + slot.at] = value === null ? Number.NaN : Number(value);
      return;
    case 'extraNumber':
      block.extraNumbers[row * block.extraWidth + slot.at] = value === null ? Number.NaN : Number(value);
      return;
    case 'text':
    case 'extraText':
      (slot.kind === 'text' ? block.texts : block.extraTexts)[slot.at]![row] = typeof value === 'string' ? value : '';
  }
}

/** A feature that this layout does not have stays missing. Features made of time are computed from the row that holds the stored ones. */
function compileLayout(
  schema: ViewSchema,
  allSlots: readonly ColumnSlot[],
  timeOf: ReadonlyMap<string, ComputedTimeFeature>,
): CompiledLayout {
  const blob = compileBlobSchema(schema.fields);
  const times = allSlots.flatMap((slot) => {
    const feature = blob.indexOf.has(slot.feature) ? undefined : timeOf.get(slot.feature);
    if (!feature) return [];
    const column = feature.of === 'event_time' || feature.of === 'now' ? undefined : blob.indexOf.get(feature.of);
    return [{ slot, feature, column: column === undefined ? undefined : Int32Array.of(column) }];
  });
  const moment = new Float64Array(1);
  const indexOf = (slot: ColumnSlot): number => blob.indexOf.get(slot.feature)!;
  const slots = allSlots.filter((slot) => blob.indexOf.has(slot.feature));
  const numeric = slots.filter((slot) => slot.kind === 'number' || slot.kind === 'extraNumber');
  const texts = slots.filter((slot) => slot.kind === 'text' || slot.kind === 'extraText').map((slot) => ({ slot, index: indexOf(slot) }));
  const indices = Int32Array.from(numeric, indexOf);
  const places = Int32Array.from(numeric, (slot) => slot.at);
  const isExtra = Uint8Array.from(numeric, (slot) => (slot.kind === 'extraNumber' ? 1 : 0));
  const scratch = new Float64Array(numeric.length);
  return {
    fingerprint: blob.fingerprint,
    open: (bytes, _nowMs, into) => {
      if (checkBlob(blob, bytes) === 'none') return blobEventTimeMs(bytes);
      into.corruptBlobs++;
      return Number.NaN;
    },
    write: (bytes, block, row, nowMs) => {
      for (const { slot, feature, column } of times) {
        if (column) decodeNumbersInto(blob, bytes, column, moment, 0);
        const columnMs = column && !Number.isNaN(moment[0]!) ? moment[0]! : null;
        writeValue(block, row, slot, timeFeatureValue(feature, { eventTimeMs: blobEventTimeMs(bytes), nowMs, columnMs }));
      }
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
    const layout = JSON.stringify([view.name, view.fields, view.windows ?? []]);
    if (seen.has(layout) || merged.filter((one) => one.name === view.name).length >= LAYOUTS_MAX) continue;
    seen.add(layout);
    merged.push(view);
  }
  return merged;
}
