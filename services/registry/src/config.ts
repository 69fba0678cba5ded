import { int, key, platformKeys, readConfig, type ConfigOf } from '@headrace/platform/config';

export const configKeys = {
  ...platformKeys({ httpPort: 7020, grpcPort: 7021, database: 'registry' }),
  artifactBytesMax: key(
    'HEADRACE_ARTIFACT_BYTES_MAX',
    int(1, 2 ** 31 - 1, 256 * 1024 * 1024),
    'largest artefact that an upload may bring',
    'bytes',
  ),
};

export type Config = ConfigOf<typeof configKeys>;

/** The only reader of the environment in this service. */
export function loadConfig(overrides: Partial<Config> = {}): Config {
  return readConfig(configKeys, process.env, overrides);
}
