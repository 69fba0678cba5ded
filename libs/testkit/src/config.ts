import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The only place of this library that reads the environment. */
const env = process.env;

/** HEADRACE_TEST_KAFKA, HEADRACE_TEST_POSTGRES, HEADRACE_TEST_REDIS: engines that run already; the tests start only what is not named. */
export function givenTestUrls(): { kafka?: string; postgres?: string; redis?: string } {
  const [kafka, postgres, redis] = [env['HEADRACE_TEST_KAFKA'], env['HEADRACE_TEST_POSTGRES'], env['HEADRACE_TEST_REDIS']];
  return { ...(kafka ? { kafka } : {}), ...(postgres ? { postgres } : {}), ...(redis ? { redis } : {}) };
}

/** HEADRACE_CACHE, else `.headrace/cache` of the repository: tests and `npm start` share what was downloaded. */
export function testCacheDir(): string {
  const repository = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
  return env['HEADRACE_CACHE'] ? resolve(env['HEADRACE_CACHE']) : join(repository, '.headrace', 'cache');
}
