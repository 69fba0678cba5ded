import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The only place of this library that reads the environment. */
const env = process.env;

/** HEADRACE_TEST_KAFKA, HEADRACE_TEST_POSTGRES, HEADRACE_TEST_REDIS: engines that run already; the tests start only what is not named. */
export function givenTestUrls(): { kafka?: string; postgres?: string; redis?: string } {
  const [kafka, postgres, redis] = [env['HEADRACE_TEST_KAFKA'], env['HEADRACE_TEST_POSTGRES'], env['HEADRACE_TEST_REDIS']];
  return { ...(kafka ? { kafka } : {}), ...(postgres ? { postgres } : {}), ...(redis ? { redis } : {}) };
}

const REPOSITORY = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');

/** HEADRACE_CACHE, else `.headrace/cache` of the repository: tests and `npm start` share what was downloaded. */
export function testCacheDir(): string {
  return env['HEADRACE_CACHE'] ? resolve(env['HEADRACE_CACHE']) : join(REPOSITORY, '.headrace', 'cache');
}

/** HEADRACE_STATE, else `.headrace` of the repository: what the tests of one machine make once. */
export function testStateDir(): string {
  return env['HEADRACE_STATE'] ? resolve(env['HEADRACE_STATE']) : join(REPOSITORY, '.headrace');
}

/** The trainer's tool that makes a Python environment, as it is built. */
export const PREPARE_PYTHON = join(REPOSITORY, 'services/trainer/dist/prepare-python.js');

/** What a tool that we start inherits. */
export function inheritedEnvironment(): NodeJS.ProcessEnv {
  return { ...env };
}
