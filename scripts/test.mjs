// `npm test`: every check of the project, one after another, and one plain closing line. Arguments choose stages:
// `npm test -- lint unit` runs only these. Runs on the pinned Node; scripts/run.mjs has installed and built before.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const bin = join(root, 'node_modules', '.bin');
const scratch = mkdtempSync(join(tmpdir(), 'headrace-test-'));
const totals = { passed: 0, failed: 0, skipped: [] };

const stages = {
  generated: () => check('generated code is fresh', process.execPath, ['scripts/generate.mjs', '--check']),
  protos: () => check('protos pass buf lint', join(bin, 'buf'), ['lint']),
  types: () => check('types are right', join(bin, 'tsc'), ['--noEmit', '-p', 'tsconfig.json']),
  format: () => check('every file is formatted (npm run format)', join(bin, 'prettier'), ['--check', '--log-level=warn', '.']),
  lint: () => lint(),
  unit: () => vitest('unit'),
  engines: () => vitest('engines'),
  python: () => python(),
};

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !(name in stages));
if (unknown.length > 0) fail(`no stage ${unknown.join(', ')}; there are ${Object.keys(stages).join(', ')}`);

try {
  for (const [name, run] of Object.entries(stages)) {
    if (asked.length > 0 && !asked.includes(name)) continue;
    const begin = Date.now();
    console.log(`\n== ${name}`);
    run();
    console.log(`== ${name}: ${((Date.now() - begin) / 1000).toFixed(1)} s`);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
for (const name of totals.skipped) console.log(`skipped: ${name}`);
if (totals.skipped.length > 0) console.log(`${totals.skipped.length} skipped`);
console.log(`${totals.passed} passed, ${totals.failed} failed`);
process.exit(totals.failed === 0 && totals.passed > 0 ? 0 : 1);

/** A check that is one test. */
function check(name, program, args) {
  const { status } = run(program, args);
  if (status === 0) totals.passed++;
  else {
    totals.failed++;
    console.log(`FAILED: ${name}`);
  }
}

/** Without nx's project graph its boundary rule is skipped with a mere warning, so the graph is made first and the warning is a failure. */
function lint() {
  run(join(bin, 'nx'), ['show', 'projects', '--json'], root, 'ignore');
  const { status, stdout, stderr } = run(join(bin, 'eslint'), ['.', '--max-warnings=0'], root, 'pipe');
  const output = `${stdout}${stderr}`;
  console.log(output.trim());
  if (status === 0 && !output.includes('No cached ProjectGraph')) totals.passed++;
  else {
    totals.failed++;
    console.log('FAILED: lint and module boundaries');
  }
}

function vitest(project) {
  const file = join(scratch, `${project}.json`);
  const { status } = run(process.execPath, [
    join(root, 'node_modules/vitest/vitest.mjs'),
    'run',
    '--project',
    project,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${file}`,
  ]);
  if (!existsSync(file)) return void totals.failed++;
  const report = JSON.parse(readFileSync(file, 'utf8'));
  totals.passed += report.numPassedTests;
  // A file that cannot even load has no failed test of its own, but it is a failure.
  totals.failed += Math.max(report.numFailedTests, status === 0 ? 0 : Math.max(1, report.numFailedTestSuites > 0 ? 1 : 0));
  for (const result of report.testResults)
    for (const test of result.assertionResults)
      if (test.status === 'pending' || test.status === 'skipped') totals.skipped.push(test.fullName);
}

/** The training runtime's own tests, in an environment of its own under the state folder. */
function python() {
  const folder = join(root, 'services/trainer/python');
  const venv = join(root, '.headrace', 'python-test');
  const prepared = run(
    process.execPath,
    [join(root, 'services/trainer/dist/prepare-python.js'), '--home', venv, '--lock', join(folder, 'requirements-test.lock')],
    root,
    'pipe',
  );
  if (prepared.status !== 0) {
    totals.failed++;
    process.stdout.write(prepared.stdout + prepared.stderr);
    return console.log('FAILED: the Python environment could not be made');
  }
  const file = join(scratch, 'pytest.xml');
  // The environment's folder is named by what is in it; the last line says where it is.
  const { python: interpreter } = JSON.parse(prepared.stdout.trim().split('\n').at(-1));
  run(interpreter, ['-m', 'pytest', '-q', '--color=no', '-p', 'no:cacheprovider', `--junitxml=${file}`], folder);
  if (!existsSync(file)) return void totals.failed++;
  const xml = readFileSync(file, 'utf8');
  const count = (name) => Number(new RegExp(`<testsuite [^>]*\\b${name}="(\\d+)"`).exec(xml)?.[1] ?? 0);
  const failed = count('failures') + count('errors');
  totals.failed += failed;
  totals.passed += count('tests') - failed - count('skipped');
  for (const [, name] of xml.matchAll(/<testcase [^>]*\bname="([^"]+)"[^>]*>\s*<skipped/g)) totals.skipped.push(`python: ${name}`);
}

function run(program, args, cwd = root, output = 'inherit') {
  const env = {
    ...process.env,
    PATH: `${bin}${delimiter}${process.env.PATH ?? ''}`,
    NX_DAEMON: 'false',
    PYTHONDONTWRITEBYTECODE: '1',
    FORCE_COLOR: '0',
  };
  return spawnSync(program, args, {
    cwd,
    env,
    stdio: ['ignore', output, output === 'pipe' ? 'pipe' : 'inherit'],
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
}

function fail(text) {
  console.error(text);
  process.exit(2);
}
