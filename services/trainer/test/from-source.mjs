// Lets a plain `node` process run our TypeScript, for tests that need a process of its own to kill: `node --import ./from-source.mjs src/worker.ts`.
import { transformSync } from '@swc/core';
import { existsSync, readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';

const swcrc = fileURLToPath(new URL('../../../.swcrc', import.meta.url));

registerHooks({
  resolve(specifier, context, next) {
    if (specifier.startsWith('.') && specifier.endsWith('.js') && context.parentURL?.endsWith('.ts')) {
      const source = new URL(specifier.replace(/\.js$/, '.ts'), context.parentURL);
      if (existsSync(source)) return { url: source.href, shortCircuit: true, format: 'module' };
    }
    const resolved = next(specifier, context);
    return resolved.url.endsWith('.ts') ? { ...resolved, format: 'module' } : resolved;
  },
  load(url, context, next) {
    if (!url.endsWith('.ts')) return next(url, context);
    const filename = fileURLToPath(url);
    const { code } = transformSync(readFileSync(filename, 'utf8'), { filename, configFile: swcrc, sourceMaps: 'inline' });
    return { format: 'module', shortCircuit: true, source: code };
  },
});
