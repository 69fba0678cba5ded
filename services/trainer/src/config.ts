import { int, key, peerKeys, platformKeys, readConfig, text, type ConfigOf } from '@headrace/platform/config';
import { resolve } from 'node:path';

export const configKeys = {
  ...platformKeys({ httpPort: 7030, grpcPort: 7031, database: 'trainer' }),
  ...peerKeys,
  queueMax: key('HEADRACE_TRAINER_QUEUE_MAX', int(1, 100_000, 1_000), 'most runs of one project that may wait', 'runs'),
  attemptsMax: key('HEADRACE_TRAINER_ATTEMPTS', int(1, 100, 4), 'most attempts at one run', 'attempts'),
  backoffMs: key(
    'HEADRACE_TRAINER_BACKOFF_MS',
    int(0, 600_000, 2_000),
    'wait before the second attempt; doubles with each further one',
    'ms',
  ),
  leaseMs: key('HEADRACE_TRAINER_LEASE_MS', int(500, 600_000, 10_000), 'a worker that is silent for so long has lost its run', 'ms'),
  pollMs: key('HEADRACE_TRAINER_POLL_MS', int(10, 60_000, 500), 'how often an idle worker looks for a run', 'ms'),
  runLimitMs: key(
    'HEADRACE_TRAINER_RUN_LIMIT_MS',
    int(1_000, 7 * 86_400_000, 3_600_000),
    'longest time of one attempt; then it is killed',
    'ms',
  ),
  keepRuns: key('HEADRACE_TRAINER_KEEP_RUNS', int(0, 10_000, 20), 'work folders of finished runs that stay on disk', 'folders'),
  pythonHome: key('HEADRACE_PYTHON_HOME', text(''), 'folder of the Python environment; empty = `python` in the state folder'),
};

export type Config = ConfigOf<typeof configKeys>;

/** The only reader of the environment in this service. */
export function loadConfig(overrides: Partial<Config> = {}): Config {
  return readConfig(configKeys, process.env, overrides);
}

export function pythonHomeOf(config: Pick<Config, 'pythonHome' | 'stateDir'>): string {
  return resolve(config.pythonHome || `${config.stateDir}/python`);
}

/** Everything that training code may see of this process's environment; no key, no URL. */
export function trainingEnvironment(): Record<string, string> {
  return picked(['PATH', 'LANG', 'LD_LIBRARY_PATH', 'CUDA_VISIBLE_DEVICES', 'SYSTEMROOT']);
}

/** What installers need besides: proxies, certificates, mirrors. */
export function installerEnvironment(): Record<string, string> {
  return picked(Object.keys(process.env).filter((name) => !name.startsWith('HEADRACE_') && !name.startsWith('npm_')));
}

function picked(names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])));
}
