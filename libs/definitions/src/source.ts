import { z } from 'zod';
import { name } from './scalars.js';

/** Where a column has another name than the join key or feature that it fills: join key or feature -> column. */
const columns = z.record(name, z.string().min(1).max(200)).optional();
const eventTime = z.string().min(1).max(200).default('event_time');

/**
 * Where the rows of a view come from. Whatever it says, rows are always taken from the topic headrace.features.v1 and by push too;
 * `file` and `postgres` are read when a backfill is asked for. A URL never stands in a definition: `connection` names one that the
 * service is configured with.
 */
export const viewSource = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('topic'), topic: z.string().regex(/^[A-Za-z0-9._-]{1,249}$/, 'a Kafka topic: letters, digits, . _ -') }),
  z.strictObject({ kind: z.literal('push') }),
  z.strictObject({
    kind: z.literal('file'),
    /** Inside of the import folder of the service. */
    path: z.string().min(1).max(1000),
    format: z.enum(['csv', 'parquet']),
    eventTime,
    columns,
  }),
  z.strictObject({
    kind: z.literal('postgres'),
    connection: name,
    query: z.string().min(1).max(20_000),
    eventTime,
    columns,
  }),
]);

export type ViewSource = z.output<typeof viewSource>;
