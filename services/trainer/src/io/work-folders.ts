import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * `<root>/<runId>/attempt-<n>`: a folder of its own for each attempt, so that a survivor of a lost attempt cannot write into the next.
 * Only the newest runs stay on disk.
 */
export class WorkFolders {
  readonly #root: string;
  readonly #keep: number;

  constructor(root: string, keep: number) {
    this.#root = root;
    this.#keep = keep;
  }

  async open(runId: string, attempt: number): Promise<string> {
    const folder = join(this.#root, runId, `attempt-${attempt}`);
    await rm(folder, { recursive: true, force: true });
    await mkdir(join(folder, 'tmp'), { recursive: true });
    return folder;
  }

  /** Removes the oldest folders past the bound, but for those of the runs in `spare`. */
  async prune(spare: readonly string[]): Promise<void> {
    const names = (await readdir(this.#root).catch(() => [])).filter((name) => !spare.includes(name));
    const aged = await Promise.all(names.map(async (name) => ({ name, mtimeMs: (await stat(join(this.#root, name))).mtimeMs })));
    const old = aged.sort((a, b) => b.mtimeMs - a.mtimeMs).slice(this.#keep);
    for (const { name } of old) await rm(join(this.#root, name), { recursive: true, force: true });
  }
}
