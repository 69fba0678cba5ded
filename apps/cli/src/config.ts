import { clientTlsKeys, doorTlsKeys, int, key, list, readConfig, secret, secretFile, text, type ConfigOf } from '@headrace/platform/config';

/** What `headrace` itself reads from the environment; the services get theirs from it. */
export const configKeys = {
  stateDir: key('HEADRACE_STATE', text('.headrace'), 'folder of everything that a run keeps: engines, logs, artefacts, report'),
  kafkaBrokers: key('HEADRACE_KAFKA_BROKERS', list(''), 'brokers that somebody else runs; empty = start one'),
  postgresUrl: key(
    'HEADRACE_POSTGRES_URL',
    text(''),
    'a Postgres that somebody else runs, whose user may create databases; empty = start one',
    '',
    true,
  ),
  redisUrl: key('HEADRACE_REDIS_URL', text(''), 'a Redis that somebody else runs; empty = start one', '', true),
  portBase: key(
    'HEADRACE_PORT_BASE',
    int(0, 65_000, 7000),
    'first port: services listen on base+10 (HTTP), base+11 (gRPC), base+20, ...; 0 = any free ports',
  ),
  apiKey: key('HEADRACE_API_KEY', text(''), 'key for the services and for the calls of this command', '', true),
  logHashKey: key(
    'HEADRACE_PREDICTION_LOG_HASH_KEY',
    secret(16),
    'key of the tokens in the prediction log, for `headrace redaction --token`; serving reads the same',
    '',
    true,
  ),
  logHashKeyFile: key('HEADRACE_PREDICTION_LOG_HASH_KEY_FILE', secretFile(16), 'file that holds that key; the variable above wins'),
  ...doorTlsKeys,
  ...clientTlsKeys,
  logLevel: key('HEADRACE_LOG_LEVEL', text('info'), 'log level of the services'),
  readyTimeoutMs: key('HEADRACE_READY_TIMEOUT_MS', int(1_000, 600_000, 60_000), 'longest wait for a service to become ready', 'ms'),
} as const;

export type CliConfig = ConfigOf<typeof configKeys>;

export function loadConfig(overrides: Partial<CliConfig> = {}): CliConfig {
  return readConfig(configKeys, process.env, overrides);
}

/** The caller's environment, for children: services read their own keys from it. */
export function inheritedEnvironment(): Readonly<Record<string, string | undefined>> {
  return process.env;
}
