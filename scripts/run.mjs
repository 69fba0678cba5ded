// The door of `npm start`, `npm test`, `npm run down`, `npm run clean`, `npm run headrace`: runs on whatever Node npm found (>= 18),
// installs what is missing, builds what is stale, and hands over to the pinned Node 24 of node_modules.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const bin = join(root, 'node_modules', '.bin');
const [verb = 'start', ...args] = process.argv.slice(2);
const quiet = verb === 'cli';

const major = Number(process.versions.node.split('.')[0]);
if (major < 18) fail(`Node ${process.versions.node} is too old to begin with: install any Node >= 18 (the pinned Node 24 comes by npm)`);

install();
if (verb !== 'clean') build();
handOver();

/** npm ci, when node_modules does not match the lock file. */
function install() {
  const marker = join(root, 'node_modules', '.headrace-installed');
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  if (existsSync(marker) && readFileSync(marker, 'utf8') === lock) return;
  if (verb === 'clean' && !existsSync(join(bin, 'node'))) return removeStateWithoutTools();
  const begin = Date.now();
  say('installing npm packages (about 750; once)');
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
  mkdirSync(dirname(marker), { recursive: true });
  writeFileSync(marker, lock);
  say(`npm packages installed in ${seconds(begin)}`);
}

/** nx builds only what changed since the last time. */
function build() {
  const begin = Date.now();
  const result = spawnSync(join(bin, 'nx'), ['run-many', '-t', 'build', '--parallel=2', '--output-style=static'], {
    cwd: root,
    env: environment(),
    encoding: 'utf8',
  });
  if (result.status !== 0) fail(`the build failed:\n${result.stdout}${result.stderr}`);
  if (!quiet) say(`built in ${seconds(begin)}`);
}

function handOver() {
  const entry = verb === 'test' ? join(root, 'scripts', 'test.mjs') : join(root, 'apps', 'cli', 'dist', 'main.js');
  const command = verb === 'test' || verb === 'cli' ? args : [verb, ...args];
  const child = spawn(join(bin, 'node'), ['--enable-source-maps', entry, ...command], { cwd: root, env: environment(), stdio: 'inherit' });
  // Ctrl-C reaches the child too (same terminal); this process only waits for its orderly end.
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => signal === 'SIGTERM' && child.kill('SIGTERM'));
  child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)));
}

/** `clean` on a machine where nothing was installed: there can be no process of ours, only files. */
function removeStateWithoutTools() {
  rmSync(join(root, '.headrace'), { recursive: true, force: true });
  process.exit(0);
}

function run(program, programArgs) {
  const result = spawnSync(program, programArgs, {
    cwd: root,
    env: environment(),
    stdio: quiet ? ['ignore', 'ignore', 'inherit'] : 'inherit',
    shell: process.platform === 'win32',
  });
  if (result.status !== 0) fail(`${program} ${programArgs.join(' ')} failed`);
}

function environment() {
  return {
    ...process.env,
    PATH: `${bin}${delimiter}${process.env.PATH ?? ''}`,
    NX_DAEMON: 'false',
    NX_NO_CLOUD: 'true',
    NX_TUI: 'false',
    ONNXRUNTIME_NODE_INSTALL: 'skip',
  };
}

function say(text) {
  process.stderr.write(`headrace: ${text}\n`);
}

function seconds(begin) {
  return `${((Date.now() - begin) / 1000).toFixed(1)} s`;
}

function fail(text) {
  say(text);
  process.exit(1);
}
