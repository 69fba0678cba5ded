import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');

export interface SourceFile {
  /** From the repository root, with `/`. */
  readonly path: string;
  readonly text: string;
  readonly lines: number;
  readonly imports: readonly string[];
  /** Without `import type`, which the compiler erases. */
  readonly runtimeImports: readonly string[];
}

const SKIPPED = new Set(['node_modules', 'dist', '.headrace', '.nx', '.git', 'gen', 'python']);

/** Every TypeScript file of ours, generated code left out. */
export function sourceFiles(
  folders: readonly string[] = ['libs', 'services', 'clients', 'apps', 'infra', 'examples', 'tests', 'bench'],
): SourceFile[] {
  return folders
    .flatMap((folder) => [...walk(join(ROOT, folder))])
    .filter((path) => path.endsWith('.ts'))
    .map(read);
}

export function isTest(path: string): boolean {
  return path.endsWith('.test.ts') || /(^|\/)(test|tests|golden)\//.test(path);
}

function read(file: string): SourceFile {
  const text = readFileSync(file, 'utf8');
  const found = [...text.matchAll(/^(?:import|export)\b[^'"`;]*?from\s+'([^']+)'|^import\s+'([^']+)'|\bimport\('([^']+)'\)/gm)];
  const target = (match: RegExpExecArray): string => (match[1] ?? match[2] ?? match[3])!;
  return {
    path: relative(ROOT, file).replaceAll('\\', '/'),
    text,
    lines: text.split('\n').length,
    imports: found.map(target),
    runtimeImports: found.filter((match) => !/^(import|export) type\b/.test(match[0])).map(target),
  };
}

function* walk(folder: string): Iterable<string> {
  let entries;
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch {
    return;
  }
  for (const entry of entries) {
    if (SKIPPED.has(entry.name)) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* walk(path);
    else yield path;
  }
}
