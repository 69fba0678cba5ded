import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { searchFolders } from './config.js';

export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** Absolute path of a program, or undefined. */
export function which(program: string, folders: readonly string[] = searchFolders()): string | undefined {
  return folders.map((folder) => join(folder, program)).find(isExecutable);
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

