import { int, key, peerKeys, platformKeys, readConfig, type ConfigOf } from '@headrace/platform/config';

const DAY_MS = 86_400_000;
const YEARS_10_MS = 3650 * DAY_MS;

export const configKeys = {
  ...platformKeys({ httpPort: 7050, grpcPort: 7051, database: 'monitor' }),
  registryGrpc: peerKeys.registryGrpc,
  judgeEveryMs: key('HEADRACE_MONITOR_JUDGE_EVERY_MS', int(10, 3_600_000, 1_000), 'how often versions with new data are judged', 'ms'),
  predictionRetentionMs: key(
    'HEADRACE_MONITOR_PREDICTION_RETENTION_MS',
    int(60_000, YEARS_10_MS, 30 * DAY_MS),
    'how long a prediction waits for its label; older rows of the log are skipped, so let it be longer than the topic is kept',
    'ms',
  ),
  paneRetentionMs: key(
    'HEADRACE_MONITOR_PANE_RETENTION_MS',
    int(60_000, YEARS_10_MS, 90 * DAY_MS),
    'how long sketches and group counts are kept',
    'ms',
  ),
  pendingRetentionMs: key(
    'HEADRACE_MONITOR_PENDING_RETENTION_MS',
    int(1_000, YEARS_10_MS, DAY_MS),
    'how long a label waits for its prediction',
    'ms',
  ),
  pendingMax: key(
    'HEADRACE_MONITOR_PENDING_MAX',
    int(0, 100_000_000, 1_000_000),
    'most labels that wait for their prediction; the oldest go first',
    'labels',
  ),
  sweepEveryMs: key('HEADRACE_MONITOR_SWEEP_EVERY_MS', int(10, DAY_MS, 60_000), 'how often old rows are removed', 'ms'),
};

export type Config = ConfigOf<typeof configKeys>;

/** Injection token of the configuration. */
export const CONFIG = Symbol('config');

/** The only reader of the environment in this service. */
export function loadConfig(overrides: Partial<Config> = {}): Config {
  return readConfig(configKeys, process.env, overrides);
}
