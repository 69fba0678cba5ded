import type { FeatureValue } from '@headrace/codec/feature-blob';
import type { ValueType } from '@headrace/definitions/feature-field';
import { Body, Controller, HttpCode, Post, Query } from '@nestjs/common';
import { splitReference } from '@headrace/definitions/reference';
import { z } from 'zod';
import { ReadFeatures } from '../app/read-features.js';
import type { FieldStatus, OnlineValue } from '../domain/online-vector.js';
import { requestInvalid } from '../errors.js';
import { toFeastTime } from './feast-frame.js';
import { parseBody, projectOf } from './fields.js';

const keyValue = z.union([z.string(), z.number(), z.boolean()]);

/** The body of Feast's feature server; entities come by column. */
const request = z.object({
  features: z.array(z.string()).default([]),
  feature_service: z.string().optional(),
  entities: z.record(z.string(), z.array(keyValue).min(1)),
  full_feature_names: z.boolean().default(false),
  /** Values for on-demand views, by column like the entities. */
  request_context: z.record(z.string(), z.array(z.unknown())).default({}),
});

interface FeastColumn {
  readonly values: readonly unknown[];
  readonly statuses: readonly string[];
  readonly event_timestamps: readonly string[];
}

/** Online features in the shape of Feast's `/get-online-features`: one column for each join key, then for each feature. */
@Controller()
export class FeastHttp {
  constructor(private readonly online: ReadFeatures) {}

  @Post('get-online-features')
  @HttpCode(200)
  async get(@Body() body: unknown, @Query('project') project?: string): Promise<unknown> {
    const parsed = parseBody(request, body);
    const { features, feature_service: featureService, entities, full_feature_names: fullNames } = parsed;
    const keys = Object.keys(entities);
    const rows = toRows(entities);
    const { names, types, vectors } = await this.online.get({
      project: projectOf(project),
      features,
      featureService,
      entities: rows,
      request: contextRows(parsed.request_context, rows.length),
    });
    return {
      metadata: { feature_names: [...keys, ...names.map((name) => nameOf(name, fullNames))] },
      results: [
        ...keys.map((key) => keyColumn(entities[key]!)),
        ...types.map((type, i) =>
          featureColumn(
            type,
            vectors.map((vector) => vector[i]!),
          ),
        ),
      ],
    };
  }
}

type KeyValue = z.output<typeof keyValue>;

function toRows(entities: Readonly<Record<string, readonly KeyValue[]>>): Record<string, string>[] {
  const columns = Object.entries(entities);
  const count = columns[0]?.[1].length ?? 0;
  if (columns.some(([, values]) => values.length !== count))
    throw requestInvalid('the lists under `entities` must all have the same length');
  return Array.from({ length: count }, (_, i) => Object.fromEntries(columns.map(([key, values]) => [key, String(values[i]!)])));
}

function contextRows(context: Readonly<Record<string, readonly unknown[]>>, count: number): Record<string, unknown>[] {
  const columns = Object.entries(context);
  if (columns.some(([, values]) => values.length !== count))
    throw requestInvalid('the lists under `request_context` must have one value for each entity');
  return Array.from({ length: count }, (_, i) => Object.fromEntries(columns.map(([name, values]) => [name, values[i]])));
}

/** What a feature service calls its features stays as it is. */
function nameOf(reference: string, full: boolean): string {
  if (!reference.includes(':')) return reference;
  const { view, feature } = splitReference(reference);
  return full ? `${view}__${feature}` : feature;
}

/** Feast's word for "no event time". */
const NO_TIME = new Date(0).toISOString();
const STATUSES: Readonly<Record<FieldStatus, string>> = {
  present: 'PRESENT',
  null_value: 'NULL_VALUE',
  not_found: 'NOT_FOUND',
  outside_max_age: 'OUTSIDE_MAX_AGE',
};

/** As they were asked for: Feast's clients know their entities by them. */
function keyColumn(values: readonly KeyValue[]): FeastColumn {
  return { values, statuses: values.map(() => 'PRESENT'), event_timestamps: values.map(() => NO_TIME) };
}

function featureColumn(type: ValueType, values: readonly OnlineValue[]): FeastColumn {
  return {
    values: values.map(({ value }) => toFeastValue(type, value)),
    statuses: values.map((v) => STATUSES[v.status]),
    event_timestamps: values.map((v) => (v.eventTimeMs === undefined ? NO_TIME : new Date(v.eventTimeMs).toISOString())),
  };
}

/** Feast's clients tell the type by the JSON: 2 is an integer to them, and 2.0 a float. */
function toFeastValue(type: ValueType, value: FeatureValue): unknown {
  if (value === null) return null;
  if (type === 'timestamp') return toFeastTime(value as number);
  if (type === 'float64') return floatText(value as number);
  return type === 'embedding' ? (value as readonly number[]).map(floatText) : value;
}

function floatText(value: number): unknown {
  return Number.isSafeInteger(value) ? JSON.rawJSON(`${Object.is(value, -0) ? '-0' : value}.0`) : value;
}

declare global {
  interface JSON {
    /** ECMAScript 2026, in Node since 21; not in the compiler's library yet. */
    rawJSON(text: string): unknown;
  }
}
