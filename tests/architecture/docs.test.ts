import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, it } from 'vitest';
import { ROOT } from './source-files.js';

const SKIPPED = new Set(['node_modules', 'dist', '.headrace', '.nx', '.git', '.pytest_cache']);

function* markdown(folder: string): Iterable<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (SKIPPED.has(entry.name)) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* markdown(path);
    else if (entry.name.endsWith('.md')) yield path;
  }
}

it('has no dead link between its pages and files', () => {
  const dead: string[] = [];
  for (const file of markdown(ROOT)) {
    for (const [, target] of readFileSync(file, 'utf8').matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)) {
      if (!existsSync(join(dirname(file), target!))) dead.push(`${relative(ROOT, file)} -> ${target}`);
    }
  }
  expect(dead).toEqual([]);
});

it('names no file of the services in the walks that is not there', () => {
  const dead: string[] = [];
  for (const file of markdown(join(ROOT, 'docs'))) {
    for (const [, path] of readFileSync(file, 'utf8').matchAll(
      /`((?:libs|services|apps|clients|infra|examples|tests)\/[\w./-]+\.(?:ts|py|md|proto))`/g,
    )) {
      if (!existsSync(join(ROOT, path!))) dead.push(`${relative(ROOT, file)}: ${path}`);
    }
  }
  expect(dead).toEqual([]);
});
