import { z } from 'zod';
import { int, key, peerKeys, platformKeys, readConfig, text, type ConfigOf } from '@headrace/platform/config';

/** `name=postgres://...`, separated by spaces -> name -> URL. */
const namedUrls = z
  .string()
  .default('')
  .refine((list) => list.split(/\s+/).every((part) => part === '' || /^[A-Za-z][A-Za-z0-9_-]*=postgres(ql)?:\/\/\S+$/.test(part)), {
    error: 'name=postgres://..., separated by spaces',
  })
  .transform((list): ReadonlyMap<string, string> => {
    const parts = list.split(/\s+/).filter(Boolean);
    return new Map(parts.map((part) => [part.slice(0, part.indexOf('=')), part.slice(part.indexOf('=') + 1)]));
  });

/** The only reader of the environment in this service. */
export const configKeys = {
  ...platformKeys({ httpPort: 7010, grpcPort: 7011, database: 'feature_store', grpcTransport: 'wire' }),
  registryGrpc: peerKeys.registryGrpc,
  futureSkewMs: key(
    'HEADRACE_FEATURES_FUTURE_SKEW',
    int(0, 86_400_000, 300_000),
    'how far the event time of a row may lie ahead of its arrival',
    'ms',
  ),
  stringLengthMax: key('HEADRACE_FEATURES_STRING_MAX', int(1, 1_000_000, 4_096), 'longest string value of a feature', 'characters'),
  eventBytesMax: key(
    'HEADRACE_FEATURES_EVENT_BYTES_MAX',
    int(1_024, 64_000_000, 1_048_576),
    'largest event on headrace.features.v1',
    'bytes',
  ),
  eventRowsMax: key('HEADRACE_FEATURES_EVENT_ROWS_MAX', int(1, 1_000_000, 10_000), 'most rows in one event or push', 'rows'),
  ingestBatchEvents: key('HEADRACE_FEATURES_INGEST_BATCH', int(1, 10_000, 1_000), 'most events stored by one transaction', 'events'),
  backfillFolder: key(
    'HEADRACE_FEATURES_BACKFILL_FOLDER',
    text('.headrace/backfill'),
    'folder of the files that backfills may read; nothing outside of it is opened',
  ),
  backfillSources: key(
    'HEADRACE_FEATURES_BACKFILL_SOURCES',
    namedUrls,
    'Postgres databases that backfills may query, as name=URL, separated by spaces; requests name them and never bring a URL',
    '',
    true,
  ),
  quarantineRowsMax: key(
    'HEADRACE_FEATURES_QUARANTINE_ROWS_MAX',
    int(1, 10_000_000, 100_000),
    'refused rows of one view that are kept for review and replay, the newest',
    'rows',
  ),
  onlineKeysMax: key(
    'HEADRACE_FEATURES_ONLINE_KEYS_MAX',
    int(1, 1_000_000, 50_000),
    'most entities times views in one online read',
    'keys',
  ),
  inspectEveryMs: key(
    'HEADRACE_FEATURES_INSPECT_EVERY',
    int(100, 86_400_000, 60_000),
    'pause between two inspections of what is served online, with the clean-up of expired values',
    'ms',
  ),
  inspectSample: key(
    'HEADRACE_FEATURES_INSPECT_SAMPLE',
    int(1, 10_000, 200),
    'entities of each view in one inspection, from each store',
    'entities',
  ),
  qualityEveryMs: key(
    'HEADRACE_FEATURES_QUALITY_EVERY',
    int(100, 86_400_000, 30_000),
    'pause between two judgements of the quality of views',
    'ms',
  ),
  erasureMarkMs: key(
    'HEADRACE_FEATURES_ERASURE_MARK',
    int(100, 86_400_000, 600_000),
    'how long a mark stays online in the place of an erased entity, for writers that had read its rows before',
    'ms',
  ),
  housekeepingEveryMs: key(
    'HEADRACE_FEATURES_HOUSEKEEPING_EVERY',
    int(100, 86_400_000, 30_000),
    'pause between two turns of housekeeping: erasures that were cut short, rows past their retention',
    'ms',
  ),
  frameFolder: key(
    'HEADRACE_FEATURES_FRAME_FOLDER',
    text(''),
    'folder whose files may be named as entity frames of point-in-time joins; empty = none',
  ),
  frameBytesMax: key(
    'HEADRACE_FEATURES_FRAME_BYTES_MAX',
    int(1_024, 1_000_000_000_000, 4_294_967_296),
    'largest entity frame of a point-in-time join',
    'bytes',
  ),
  joinConnections: key(
    'HEADRACE_FEATURES_JOIN_CONNECTIONS',
    int(1, 8, 2),
    'connections to Postgres that share the work of one point-in-time join; each keeps one core of Postgres busy',
  ),
} as const;

export type Config = ConfigOf<typeof configKeys>;

/** Injection token of `Limits`. */
export const LIMITS = Symbol('limits');
export type Limits = Pick<
  Config,
  | 'futureSkewMs'
  | 'stringLengthMax'
  | 'eventRowsMax'
  | 'eventBytesMax'
  | 'onlineKeysMax'
  | 'quarantineRowsMax'
  | 'backfillFolder'
  | 'backfillSources'
  | 'inspectEveryMs'
  | 'inspectSample'
  | 'qualityEveryMs'
  | 'erasureMarkMs'
  | 'housekeepingEveryMs'
  | 'frameFolder'
  | 'frameBytesMax'
  | 'joinConnections'
>;

export function loadConfig(overrides: Partial<Config> = {}): Config {
  return readConfig(configKeys, process.env, overrides);
}
