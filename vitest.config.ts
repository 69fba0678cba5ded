import { transform } from '@swc/core';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** The very compiler settings of the build, so that decorators and their metadata are the same in tests. */
const swc = {
  name: 'swc',
  enforce: 'pre' as const,
  async transform(code: string, id: string): Promise<{ code: string; map: string } | null> {
    if (!/\.ts(\?.*)?$/.test(id) || id.includes('/node_modules/')) return null;
    const result = await transform(code, { filename: id, configFile: fileURLToPath(new URL('.swcrc', import.meta.url)), sourceMaps: true });
    return { code: result.code, map: result.map ?? '' };
  },
};

/** `source` makes workspace packages resolve to their TypeScript (package.json exports), so tests never see a stale build. */
// Never `import` or `module` here: vitest hands these to its workers as `--conditions`, and then `require` inside packages (pg) gets ES modules.
const conditions = ['source', 'node'];

const shared = {
  plugins: [swc],
  oxc: false as const,
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: ['node'] } },
  // The global setup runs in an environment of its own, which would look for our packages' builds.
  environments: { __vitest__: { resolve: { conditions, noExternal: [/^@headrace\//] } } },
};

/**
 * Two projects: `unit` is pure and parallel; `engines` needs real Kafka, Postgres and Redis and runs
 * file by file, because two cores share one broker. Engine tests are `*.test.ts` in `test/` folders.
 */
export default defineConfig({
  test: {
    projects: [
      {
        ...shared,
        test: {
          name: 'unit',
          include: ['{libs,services,clients,apps,infra,examples}/**/src/**/*.test.ts', 'tests/architecture/**/*.test.ts'],
          testTimeout: 20_000,
        },
      },
      {
        ...shared,
        test: {
          name: 'engines',
          globalSetup: ['libs/testkit/src/vitest-global-setup.ts'],
          include: [
            '{libs,services,infra,apps,clients}/**/test/**/*.test.ts',
            'tests/{cluster,e2e,conformance,conformance-feast,chaos}/**/*.test.ts',
          ],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 180_000,
        },
      },
    ],
    exclude: ['**/node_modules/**', '**/dist/**', '**/.headrace/**'],
  },
});
