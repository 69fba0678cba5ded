import { assert } from '@headrace/base/assert';
import { sleep } from '@headrace/base/clock';
import { AppError, messageOf } from '@headrace/base/errors';
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { link, mkdir, open, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export interface PythonRuntime {
  readonly python: string;
  /** For PYTHONPATH: the package runs from its source. */
  readonly sourceDir: string;
  /** `services/trainer/python` */
  readonly packageDir: string;
}

export interface EnsurePythonOptions {
  /** Folder of the environments; one for each content of the lock file. */
  readonly home: string;
  /** What to install; default the runtime's own requirements.lock. */
  readonly lockFile?: string;
  /** Modules whose import proves that wheels and system libraries fit; default those of the training runtime. */
  readonly modules?: readonly string[];
  /** Environment for python and pip: proxies, mirrors, certificates. */
  readonly environment: Readonly<Record<string, string>>;
  /** Progress for a person. Silent when there is nothing to do. */
  readonly report?: (text: string) => void;
}

const PACKAGE_DIR = fileURLToPath(new URL('../../python/', import.meta.url));
/** What the runtime imports. */
const MODULES = ['lightgbm', 'numpy', 'onnx', 'onnxruntime', 'pyarrow', 'sklearn'];
const MODULE_PATTERN = /^[a-z_][a-z0-9_.]*$/i;

/**
 * The Python environment of the training runtime, made once for each content of requirements.lock: a second call, and a second process, finds
 * it ready in milliseconds. @throws AppError ENGINE_MISSING with the one command to run
 */
export async function ensurePython(options: EnsurePythonOptions): Promise<PythonRuntime> {
  const lockFile = options.lockFile ?? join(PACKAGE_DIR, 'requirements.lock');
  const name = createHash('sha256')
    .update(await readFile(lockFile))
    .digest('hex')
    .slice(0, 16);
  const folder = join(options.home, name);
  const runtime: PythonRuntime = { python: join(folder, 'bin', 'python'), sourceDir: join(PACKAGE_DIR, 'src'), packageDir: PACKAGE_DIR };
  if (await isReady(folder)) return runtime;
  await mkdir(options.home, { recursive: true });
  await withLock(join(options.home, `${name}.lock`), options.report, async () => {
    if (await isReady(folder)) return;
    await build(folder, lockFile, options);
  });
  return runtime;
}

/** Written last, so it vouches for everything before it. */
const MARKER = 'headrace-ready';

async function isReady(folder: string): Promise<boolean> {
  return exists(join(folder, MARKER));
}

async function build(
  folder: string,
  lockFile: string,
  { environment, modules = MODULES, report = () => undefined }: EnsurePythonOptions,
): Promise<void> {
  const startedMs = Date.now();
  await rm(folder, { recursive: true, force: true });
  const python = await findPython(environment, report);
  report(`Python: making an environment with ${python} in ${folder}`);
  await run(python, ['-m', 'venv', folder], environment);
  const own = join(folder, 'bin', 'python');
  const pip = ['-m', 'pip', 'install', '--disable-pip-version-check', '--no-input', '--progress-bar', 'off', '--requirement', lockFile];
  await run(own, pip, environment, (line) => {
    if (/^(Collecting|Installing)/.test(line)) report(`Python: ${line.slice(0, 160)}`);
  });
  await proveImports(own, modules, environment, report);
  await writeFile(join(folder, MARKER), `${new Date().toISOString()}\n`);
  report(`Python: ready after ${Math.round((Date.now() - startedMs) / 1000)} s`);
}

/** LightGBM's wheel leaves OpenMP to the system. */
async function proveImports(
  python: string,
  modules: readonly string[],
  environment: Readonly<Record<string, string>>,
  report: (text: string) => void,
): Promise<void> {
  assert(
    modules.every((module) => MODULE_PATTERN.test(module)),
    `names of modules, got ${modules.join(', ')}`,
  );
  const imports = `import ${modules.join(', ')}`;
  try {
    await run(python, ['-c', imports], environment);
  } catch (error) {
    if (!messageOf(error).includes('libgomp')) throw error;
    if (!(await aptInstall('libgomp1', environment, report)))
      throw missing('LightGBM needs the OpenMP library libgomp', 'apt-get install -y libgomp1', error);
    await run(python, ['-c', imports], environment);
  }
}

const CANDIDATES = ['python3', 'python3.13', 'python3.12', 'python3.11', 'python3.10', 'python'];
const PROBE = 'import sys, venv, ensurepip; assert sys.version_info >= (3, 10); print(sys.executable)';

async function findPython(environment: Readonly<Record<string, string>>, report: (text: string) => void): Promise<string> {
  const find = async (): Promise<string | undefined> => {
    for (const candidate of CANDIDATES) {
      const path = await promisify(execFile)(candidate, ['-c', PROBE], { env: environment }).then(
        ({ stdout }) => stdout.trim(),
        () => undefined, // not there, too old, or without venv
      );
      if (path) return path;
    }
    return undefined;
  };
  const found = (await find()) ?? ((await aptInstall('python3-venv', environment, report)) ? await find() : undefined);
  if (!found) throw missing('training needs Python 3.10 or newer with its venv module', 'apt-get install -y python3-venv');
  return found;
}

/** Only as root on Debian and its kin. @returns false where that is not so, or when it failed: then the person gets the command. */
async function aptInstall(name: string, environment: Readonly<Record<string, string>>, report: (text: string) => void): Promise<boolean> {
  if (process.getuid?.() !== 0 || !(await exists('/usr/bin/apt-get'))) return false;
  report(`Python: installing ${name} with apt-get`);
  const quiet = { ...environment, DEBIAN_FRONTEND: 'noninteractive' };
  try {
    await run('apt-get', ['update', '-q'], quiet);
    await run('apt-get', ['install', '-y', '-q', '--no-install-recommends', name], quiet);
    return true;
  } catch (error) {
    report(`Python: apt-get could not install ${name}: ${messageOf(error)}`);
    return false;
  }
}

function missing(what: string, command: string, cause?: unknown): AppError {
  return new AppError('ENGINE_MISSING', `${what}; run: sudo ${command}`, cause === undefined ? {} : { cause });
}

const OUTPUT_TAIL_LENGTH = 2_000;

/** Runs a tool to its end, its lines to `onLine`. @throws AppError ENGINE_MISSING with the end of its output */
function run(
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  onLine: (line: string) => void = () => undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
    let tail = '';
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        tail = `${tail}${line}\n`.slice(-OUTPUT_TAIL_LENGTH);
        onLine(line);
      });
    }
    child.once('error', (error) =>
      reject(new AppError('ENGINE_MISSING', `${command} cannot be started: ${error.message}`, { cause: error })),
    );
    child.once('close', (code) =>
      code === 0
        ? resolve()
        : reject(new AppError('ENGINE_MISSING', `\`${command} ${args.join(' ')}\` failed with code ${code}:\n${tail}`)),
    );
  });
}

/** The holder touches the lock as long as it lives; one that was not touched for so long is left over from a crash. */
const LOCK_STALE_MS = 15_000;
const LOCK_TOUCH_MS = 3_000;
/** An installation over a slow line. */
const LOCK_WAIT_MAX_MS = 1_800_000;

async function withLock(path: string, report: EnsurePythonOptions['report'], work: () => Promise<void>): Promise<void> {
  for (let waitedMs = 0; !(await tryLock(path)); waitedMs += 500) {
    if (waitedMs === 0) report?.('Python: another process is making the environment; waiting for it');
    if (waitedMs > LOCK_WAIT_MAX_MS)
      throw new AppError(
        'DEADLINE_EXCEEDED',
        `${path} was held by another process for ${LOCK_WAIT_MAX_MS / 60_000} minutes; remove it if no installation runs`,
      );
    await sleep(500);
  }
  const touch = setInterval(() => void utimes(path, new Date(), new Date()).catch(() => undefined), LOCK_TOUCH_MS);
  try {
    await work();
  } finally {
    clearInterval(touch);
    await rm(path, { force: true });
  }
}

async function tryLock(path: string): Promise<boolean> {
  try {
    await (await open(path, 'wx')).close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const touchedMs = await stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => undefined,
  );
  if (touchedMs === undefined || Date.now() - touchedMs < LOCK_STALE_MS) return false;
  // Of all that see the stale lock only one can rename it away; had another taken it anew in between, it gets it back.
  const grave = `${path}.${process.pid}`;
  await rename(path, grave).then(
    async () => {
      if (Date.now() - (await stat(grave)).mtimeMs < LOCK_STALE_MS) await link(grave, path).catch(() => undefined);
      await rm(grave, { force: true });
    },
    () => undefined,
  );
  return false;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
