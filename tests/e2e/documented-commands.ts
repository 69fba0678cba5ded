import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './running-headrace.js';

export interface DocumentedCommand {
  readonly file: string;
  readonly line: string;
}

/** Every command line in a `sh` block of the docs. */
export function documentedCommands(): DocumentedCommand[] {
  return markdownFiles().flatMap((file) => {
    const blocks = [...readFileSync(join(ROOT, file), 'utf8').matchAll(/^```sh\n([\s\S]*?)^```/gm)].map((match) => match[1]!);
    return blocks.flatMap((block) =>
      block
        .split('\n')
        .map((line) => line.replace(/\s+# .*$/, '').trim())
        .filter((line) => line !== '' && !line.startsWith('#'))
        .map((line) => ({ file, line })),
    );
  });
}

function markdownFiles(): string[] {
  const folders = [
    '',
    'docs',
    'docs/walks',
    'docs/how-to',
    ...['feature-store', 'registry', 'trainer', 'serving', 'monitor'].map((s) => `services/${s}`),
    'clients/typescript',
    'libs/platform',
    'libs/wire',
    'libs/codec',
    'libs/stats',
    'infra/engines',
    'examples/employment',
  ];
  return folders.flatMap((folder) =>
    list(folder)
      .filter((name) => name.endsWith('.md'))
      .map((name) => (folder ? `${folder}/${name}` : name)),
  );
}

function list(folder: string): string[] {
  try {
    return readdirSync(join(ROOT, folder));
  } catch {
    return [];
  }
}
