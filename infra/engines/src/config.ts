import { delimiter, join, resolve } from 'node:path';

/** The only place of this workspace that reads the environment. */
const env = process.env;

/** HEADRACE_STATE: folder of everything that a run keeps; default `.headrace` in the working folder. */
export function defaultStateDir(): string {
  return resolve(env['HEADRACE_STATE'] || '.headrace');
}

/** HEADRACE_CACHE: folder of downloaded engines, shared by runs; default `cache` in the state folder. */
export function cacheDirFor(stateDir: string): string {
  return env['HEADRACE_CACHE'] ? resolve(env['HEADRACE_CACHE']) : join(stateDir, 'cache');
}

/** Folders to look for programs in: PATH, then those where packages put servers that PATH often lacks. */
export function searchFolders(): string[] {
  const fromPath = (env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return [...new Set([...fromPath, '/usr/local/bin', '/usr/bin', '/usr/local/sbin', '/usr/sbin', '/opt/homebrew/bin'])];
}

/** JAVA_HOME: a JDK that is not on PATH. */
export function javaHome(): string | undefined {
  return env['JAVA_HOME'] || undefined;
}

/** The environment of a child process: ours, with some keys set on top. */
export function childEnvironment(extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  return { ...env, ...extra };
}
