import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';

/** Names the training code of a version: sha256 over every Python file and the locked dependencies, by path. */
export async function codeHash(pythonDir: string): Promise<string> {
  const entries = await readdir(join(pythonDir, 'src'), { recursive: true, withFileTypes: true });
  const files = entries.filter((e) => e.isFile() && e.name.endsWith('.py')).map((e) => join(e.parentPath, e.name));
  files.push(join(pythonDir, 'requirements.lock'));
  const hash = createHash('sha256');
  for (const file of files.sort()) {
    const content = await readFile(file);
    hash.update(`${relative(pythonDir, file).split(sep).join('/')}\n${content.length}\n`).update(content);
  }
  return hash.digest('hex');
}
