import {
  GetStatisticsResponse,
  LoadedVersion,
  PredictResponse,
  VersionDescription,
  type OutputColumn,
} from '@headrace/contracts/serving/v1/serving';
import { encodePredictRequest } from '@headrace/codec/predict-request';
import type { ReadOutputColumn } from '@headrace/codec/predict-output';
import { decodePredictResponse } from '@headrace/codec/predict-response';
import { ProtoWriter } from '@headrace/codec/writer';
import { Body, Controller, Get, Headers, HttpCode, Param, Post, Query } from '@nestjs/common';
import { z } from 'zod';
import { requestInvalid } from '../errors.js';
import { PredictionDoor } from './prediction-door.js';
import { ServingAdmin } from './serving-admin.js';

/** A request over HTTP is given up after this time; who needs another deadline uses gRPC. */
const DEADLINE_MS = 10_000;

const PRIORITIES = { normal: 0, low: 1, high: 2 };

/** JSON has no NaN: null is the missing value. */
const number = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);
const column = z.union([
  z.array(number).min(1),
  z
    .array(
      z
        .string()
        .nullable()
        .transform((text) => text ?? ''),
    )
    .min(1),
]);
const body = z.strictObject({
  project: z.string().default(''),
  model: z.string().min(1),
  version: z.int().nonnegative().max(0xffff_ffff).default(0),
  /** Rows of numbers, in the order of the signature. */
  rows: z.array(z.array(number)).default([]),
  columns: z.record(z.string(), column).default({}),
  entities: z.array(z.string()).default([]),
  predictionId: z.string().default(''),
  priority: z.enum(['normal', 'low', 'high']).default('normal'),
  /** Names of further outputs of the graph. */
  outputs: z.array(z.string()).default([]),
});

/** Serving for curl: JSON in front of the very path that gRPC takes. */
@Controller()
export class ServingHttp {
  constructor(
    private readonly door: PredictionDoor,
    private readonly admin: ServingAdmin,
  ) {}

  @Get('models')
  async models(@Query('project') project?: string): Promise<unknown> {
    const { loaded } = await this.admin.listLoaded({ project: project ?? '' });
    return { models: loaded.map((version) => LoadedVersion.toJSON(version)) };
  }

  @Get('models/:model')
  async describe(@Param('model') model: string, @Query('project') project?: string, @Query('version') version?: string): Promise<unknown> {
    const number = Number(version ?? 0);
    if (!Number.isInteger(number) || number < 0)
      throw requestInvalid('version', `is ${JSON.stringify(version)}; it is a whole number from 1`);
    return VersionDescription.toJSON(await this.admin.describeVersion({ project: project ?? '', model, version: number }));
  }

  @Get('statistics')
  async statistics(@Query('project') project?: string, @Query('model') model?: string): Promise<unknown> {
    return GetStatisticsResponse.toJSON(await this.admin.getStatistics({ project: project ?? '', model: model ?? '' }));
  }

  @Post('predict')
  @HttpCode(200)
  async predict(@Body() json: unknown, @Headers() headers: Readonly<Record<string, string | string[]>>): Promise<unknown> {
    const parsed = body.safeParse(json);
    if (!parsed.success)
      throw requestInvalid(
        'body',
        `is not a prediction request: ${parsed.error.issues.map((i) => `${i.path.join('.') || '(top level)'}: ${i.message}`).join('; ')}`,
      );
    const { rows, columns, priority, ...rest } = parsed.data;
    const writer = new ProtoWriter();
    encodePredictRequest(
      { ...rest, priority: PRIORITIES[priority], dense: dense(rows), columns: Object.entries(columns).map(toColumn) },
      writer,
    );
    const signal = AbortSignal.timeout(DEADLINE_MS);
    const answer = await this.door.predict(writer.finish(), {
      deadlineMs: Date.now() + DEADLINE_MS,
      signal,
      metadata: new Map(Object.entries(headers).map(([name, value]) => [name, String(value)])),
    });
    const response = decodePredictResponse(answer);
    const outputs = response.outputs.map((output) => ({ ...output, shape: [...output.shape], ...listsOf(output) }));
    return PredictResponse.toJSON({ ...response, scores: [...response.scores], outputs, error: undefined });
  }
}

function listsOf({ floats, doubles, ints, strings }: ReadOutputColumn): Pick<OutputColumn, 'floats' | 'doubles' | 'ints' | 'strings'> {
  return { floats: Array.from(floats), doubles: Array.from(doubles), ints: [...ints], strings: [...strings] };
}

function dense(rows: readonly number[][]): Float32Array {
  const width = rows[0]?.length ?? 0;
  const ragged = rows.findIndex((row) => row.length !== width);
  if (ragged >= 0) throw requestInvalid(`rows.${ragged}`, `has ${rows[ragged]!.length} values, row 0 has ${width}`);
  return Float32Array.from(rows.flat());
}

function toColumn([name, values]: [string, number[] | string[]]): { name: string; floats?: Float32Array; strings?: string[] } {
  return typeof values[0] === 'string' ? { name, strings: values as string[] } : { name, floats: Float32Array.from(values as number[]) };
}
