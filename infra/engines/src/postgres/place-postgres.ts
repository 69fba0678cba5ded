import { createHash } from 'node:crypto';
import { chmodSync, cpSync, existsSync, lstatSync, mkdirSync, readlinkSync, renameSync, rmSync, rmdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { AppError } from '@headrace/base/errors';
import { runCommand } from '../command.js';
import type { Say } from '../engine.js';
import { dataDir, engineDir } from '../layout.js';
import { findUser, which, type Machine, type UnixUser } from '../machine.js';
import type { PostgresPrograms } from './find-postgres.js';

/** Where Postgres runs from, where its data are, and as whom (undefined: as we). */
export interface PostgresPlace {
  readonly binDir: string;
  readonly dataDir: string;
  readonly as?: UnixUser;
}

/**
 * Postgres refuses to run as root, so root lends it another user. That user must reach the binaries and the data: when a folder above
 * them is closed to it (a home of mode 0700), both go below `/var/lib/headrace/<hash of the state folder>` and the state folder gets a link.
 * No right of a folder that we did not make is ever changed.
 */
export async function placePostgres(machine: Machine, stateDir: string, programs: PostgresPrograms, say: Say): Promise<PostgresPlace> {
  const data = dataDir(stateDir, 'postgres');
  mkdirSync(engineDir(stateDir, 'postgres'), { recursive: true });
  if (!machine.isRoot) return { binDir: programs.binDir, dataDir: data };
  const as = await serverUser(machine, say);
  const outside = outsideFolder(stateDir);
  let dataFolder = data;
  if (isLink(data) || !(await canEnter(machine, as, engineDir(stateDir, 'postgres')))) {
    dataFolder = join(outside, 'postgres-data');
    openFolder(outside);
    if (!isLink(data)) symlinkSync(dataFolder, data);
    say('starting', `${as.name} cannot enter ${stateDir}: the data are in ${dataFolder}`);
  }
  let binDir = programs.binDir;
  if (!(await canRun(as, join(binDir, 'postgres')))) {
    binDir = copyPrograms(binDir, join(outside, `postgres-${programs.version}`));
    say('starting', `${as.name} cannot run ${programs.binDir}: copied to ${binDir}`);
  }
  return { binDir, dataDir: dataFolder, as };
}

/** What `placePostgres` put outside the state folder, removed. */
export function removeOutsideFolder(stateDir: string): void {
  rmSync(outsideFolder(stateDir), { recursive: true, force: true });
  try {
    rmdirSync(OUTSIDE);
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code ?? '';
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST', 'EACCES', 'EPERM'].includes(code)) throw thrown;
  }
}

/** Where the data really are, link or not. */
export function realDataDir(stateDir: string): string {
  const data = dataDir(stateDir, 'postgres');
  return isLink(data) ? readlinkSync(data) : data;
}

const OUTSIDE = '/var/lib/headrace';

function outsideFolder(stateDir: string): string {
  return join(OUTSIDE, createHash('sha256').update(stateDir).digest('hex').slice(0, 12));
}

const USERS = ['postgres', 'headrace'];

/** The user `postgres` where a package made one, else our own system user, else `nobody`. */
async function serverUser(machine: Machine, say: Say): Promise<UnixUser> {
  for (const name of USERS) {
    const user = findUser(name);
    if (user !== undefined) return user;
  }
  const useradd = which(machine, 'useradd');
  if (useradd !== undefined) {
    say('installing', 'useradd --system headrace, because Postgres refuses to run as root');
    const result = await runCommand(useradd, ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', 'headrace']);
    const made = findUser('headrace');
    if (result.ok && made !== undefined) return made;
  }
  const nobody = findUser('nobody');
  if (nobody !== undefined) return nobody;
  throw new AppError(
    'ENGINE_MISSING',
    'Postgres refuses to run as root and no other user could be made: run `useradd --system headrace`, or start as a normal user',
  );
}

async function canEnter(machine: Machine, as: UnixUser, folder: string): Promise<boolean> {
  return (await runCommand(which(machine, 'test') ?? '/usr/bin/test', ['-x', folder], { as, cwd: '/' })).ok;
}

async function canRun(as: UnixUser, program: string): Promise<boolean> {
  return (await runCommand(program, ['--version'], { as, cwd: '/' })).ok;
}

/** bin, lib and share lie beside each other and find each other by relative paths. */
function copyPrograms(binDir: string, target: string): string {
  if (!existsSync(target)) {
    const partial = `${target}.partial`;
    rmSync(partial, { recursive: true, force: true });
    openFolder(partial);
    cpSync(dirname(binDir), partial, { recursive: true, verbatimSymlinks: true });
    chmodSync(partial, 0o755);
    renameSync(partial, target);
  }
  return join(target, 'bin');
}

function openFolder(folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (let at = folder; at.startsWith(OUTSIDE); at = dirname(at)) chmodSync(at, 0o755);
}

function isLink(path: string): boolean {
  try {
    return lstatSync(path).isSymbolicLink();
  } catch {
    return false;
  }
}
