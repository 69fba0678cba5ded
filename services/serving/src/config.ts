import { portOf } from '@headrace/base/peer-address';
import { int, key, list, peerKeys, platformKeys, readConfig, secret, secretFile, type ConfigOf } from '@headrace/platform/config';
import { z } from 'zod';

/** A key that can be guessed hides nothing: tokens of few possible values would be tried out. */
const HASH_KEY_LENGTH_MIN = 16;

export const configKeys = {
  ...platformKeys({ httpPort: 7040, grpcPort: 7041, database: 'serving', grpcTransport: 'wire' }),
  processes: key(
    'HEADRACE_SERVING_PROCESSES',
    int(1, 64, 1),
    'processes behind the same ports, under one supervisor (Linux, transport wire); 1 = this process alone',
    'processes',
  ),
  slot: key('HEADRACE_SERVING_SLOT', int(-1, 63, -1), 'set by the supervisor: which of its processes this is; -1 = none'),
  registryGrpc: peerKeys.registryGrpc,
  registryHttp: peerKeys.registryHttp,
  featureStoreGrpc: peerKeys.featureStoreGrpc,
  projects: key('HEADRACE_SERVING_PROJECTS', list('default'), 'projects whose champions are loaded at start; events add others'),
  pollMs: key('HEADRACE_SERVING_POLL_MS', int(100, 3_600_000, 10_000), 'how often the registry is asked without an event', 'ms'),
  peerTimeoutMs: key(
    'HEADRACE_SERVING_PEER_TIMEOUT_MS',
    int(100, 60_000, 5_000),
    'longest wait for an answer of the registry or the feature store',
    'ms',
  ),
  artifactTimeoutMs: key('HEADRACE_SERVING_ARTIFACT_TIMEOUT_MS', int(100, 3_600_000, 120_000), 'longest download of an artefact', 'ms'),
  redisTimeoutMs: key('HEADRACE_SERVING_REDIS_TIMEOUT_MS', int(1, 10_000, 100), 'longest wait for online features', 'ms'),
  batchRowsMax: key('HEADRACE_SERVING_BATCH_ROWS', int(1, 4096, 128), 'most rows of one native run; a run blocks the event loop', 'rows'),
  inlineRunMs: key(
    'HEADRACE_SERVING_INLINE_RUN_MS',
    z.coerce.number().min(0).max(60_000).default(2),
    'longest run on the event loop: a version whose run of one row in its trial, or whose typical run under load, is longer runs in a process of its own',
    'ms',
  ),
  trees: key(
    'HEADRACE_SERVING_TREES',
    z.enum(['walk', 'onnxruntime']).default('walk'),
    'what computes the scores of models that are nothing but trees: our own walk over them, proven against ONNX Runtime at each opening, or ONNX Runtime',
  ),
  memoryMib: key(
    'HEADRACE_SERVING_MEMORY_MIB',
    int(0, 16_777_216, 0),
    'resident memory of all loaded versions of a process; beyond it the least recently used go and come back when they are asked for; 0 = no bound',
    'MiB',
  ),
  keepLoaded: key('HEADRACE_SERVING_KEEP_LOADED', list(''), 'models that the memory bound never unloads, as `model` or `project/model`'),
  requestsMax: key(
    'HEADRACE_SERVING_REQUESTS_MAX',
    int(1, 1_000_000, 1_000),
    'requests inside at once; more are refused with OVERLOADED',
    'requests',
  ),
  rowsMax: key('HEADRACE_SERVING_ROWS_MAX', int(1, 10_000_000, 40_000), 'rows inside at once; more are refused with OVERLOADED', 'rows'),
  logFlushMs: key('HEADRACE_PREDICTION_LOG_FLUSH_MS', int(1, 60_000, 200), 'longest wait of a logged row for its batch', 'ms'),
  logBatchRows: key('HEADRACE_PREDICTION_LOG_BATCH_ROWS', int(1, 10_000, 2_000), 'most rows of one message of the prediction log', 'rows'),
  logPendingRows: key(
    'HEADRACE_PREDICTION_LOG_PENDING_ROWS',
    int(1, 100_000_000, 200_000),
    'rows that wait for Kafka at the most; more are dropped and counted',
    'rows',
  ),
  logSampleRate: key(
    'HEADRACE_PREDICTION_LOG_SAMPLE_RATE',
    z.coerce.number().min(0).max(1).default(1),
    'share of requests that are logged, of models whose definition says nothing else',
    '0..1',
  ),
  logHashKey: key(
    'HEADRACE_PREDICTION_LOG_HASH_KEY',
    secret(HASH_KEY_LENGTH_MIN),
    'key of the tokens that stand in the prediction log for values that are redacted by hash, at least 16 characters, the same for all processes; empty = such values are omitted',
    '',
    true,
  ),
  logHashKeyFile: key(
    'HEADRACE_PREDICTION_LOG_HASH_KEY_FILE',
    secretFile(HASH_KEY_LENGTH_MIN),
    'file that holds that key, read at the start; the variable above wins',
  ),
};

export type Config = ConfigOf<typeof configKeys>;

/** The only reader of the environment in this service. */
export function loadConfig(overrides: Partial<Config> = {}): Config {
  return readConfig(configKeys, process.env, overrides);
}

/** The environment of one of several processes: ours, its slot, a name of its own (a group of its own for events), and the ports that the first one took. */
export function environmentOf(
  { instance }: Pick<Config, 'instance'>,
  slot: number,
  generation: number,
  doors: { readonly http: string; readonly grpc: string } | undefined,
): NodeJS.ProcessEnv {
  const ports = doors && {
    HEADRACE_HTTP_PORT: new URL(doors.http).port,
    HEADRACE_GRPC_PORT: String(portOf(doors.grpc)),
  };
  return { ...process.env, HEADRACE_SERVING_SLOT: String(slot), HEADRACE_INSTANCE: `${instance}-${slot}.${generation}`, ...ports };
}
