import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { AppError } from '@headrace/base/errors';
import { runCommand } from '../command.js';
import { isExecutable, which, type Machine } from '../machine.js';
import { atLeast } from '../versions.js';

export const POSTGRES_MINIMUM = '15';

/** A folder with `postgres` and `initdb`. */
export interface PostgresPrograms {
  readonly binDir: string;
  readonly version: string;
}

/**
 * Postgres >= 15: on PATH, else where Debian keeps it (newest first), else the npm package. Data of a former run decides the major
 * version, because one major version can't read the files of another.
 */
export async function findPostgres(machine: Machine, existingData: string): Promise<PostgresPrograms> {
  const wantedMajor = dataMajor(existingData);
  const seen: string[] = [];
  await hydrateLinks(machine.npmPostgres);
  for (const binDir of candidateFolders(machine)) {
    const version = await versionIn(binDir);
    if (version === undefined) continue;
    seen.push(version);
    if (wantedMajor === undefined ? atLeast(version, POSTGRES_MINIMUM) : majorOf(version) === wantedMajor) return { binDir, version };
  }
  const found = seen.length === 0 ? 'none found' : `found only ${seen.join(', ')}`;
  if (wantedMajor !== undefined) {
    throw new AppError(
      'ENGINE_MISSING',
      `PostgreSQL ${wantedMajor} is missing (${found}), and ${existingData} was made by it: run \`apt-get install postgresql-${wantedMajor}\`, or remove the data with \`npm run clean\``,
    );
  }
  throw new AppError(
    'ENGINE_MISSING',
    `PostgreSQL >= ${POSTGRES_MINIMUM} is missing (${found}): run \`npm install --include=optional\` in the repository, or set the URL of a running Postgres`,
  );
}

function candidateFolders(machine: Machine): string[] {
  const onPath = which(machine, 'postgres');
  const npm = machine.npmPostgres;
  const folders = [
    ...(onPath === undefined ? [] : [dirname(onPath)]),
    ...debianFolders(machine.debianPostgres),
    ...(npm === undefined ? [] : [join(npm, 'bin')]),
  ];
  return [...new Set(folders)].filter((folder) => isExecutable(join(folder, 'postgres')) && isExecutable(join(folder, 'initdb')));
}

/** <major>/bin, newest first. */
function debianFolders(root: string): string[] {
  if (!existsSync(root)) return [];
  const majors = readdirSync(root).filter((name) => /^\d+$/.test(name));
  return majors.sort((a, b) => Number(b) - Number(a)).map((major) => join(root, major, 'bin'));
}

/**
 * An npm package can't hold symbolic links: a script of the package makes those of its shared libraries after the installation, unless
 * install scripts are switched off. Then we run it.
 */
async function hydrateLinks(native: string | undefined): Promise<void> {
  if (native === undefined || !existsSync(join(native, 'pg-symlinks.json'))) return;
  const links = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8')) as { target: string }[];
  const root = dirname(native);
  if (links.every(({ target }) => existsSync(join(root, target)))) return;
  await runCommand(process.execPath, [join(root, 'scripts', 'hydrate-symlinks.js')], { cwd: root });
}

async function versionIn(binDir: string): Promise<string | undefined> {
  const { stdout } = await runCommand(join(binDir, 'postgres'), ['--version'], { timeoutMs: 10_000 });
  return postgresVersion(stdout);
}

/** "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)" */
export function postgresVersion(text: string): string | undefined {
  return /\(PostgreSQL\) (\d+(?:\.\d+)*)/.exec(text)?.[1];
}

function majorOf(version: string): string {
  return version.split('.')[0]!;
}

function dataMajor(data: string): string | undefined {
  const file = join(data, 'PG_VERSION');
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined;
}
