/**
 * `npm run build && node bench/serving/swaps.ts`: a thousand hot swaps under load, as many under load of tritonclient, and as many while one of two processes is killed
 * again and again. The drills are those of services/serving/test/swaps.test.ts and tests/conformance/swaps.test.ts, longer; prints what it counted and writes `swaps.json` beside this file with machine and date.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({ options: { swaps: { type: 'string', default: '1000' } } });
const SUITES = ['services/serving/test/swaps.test.ts', 'tests/conformance/swaps.test.ts'];
const repository = join(import.meta.dirname, '../..');
const work = mkdtempSync(join(tmpdir(), 'bench-swaps-'));
try {
  const { status } = spawnSync(
    process.execPath,
    [join(repository, 'node_modules/vitest/vitest.mjs'), 'run', '--project', 'engines', ...SUITES],
    { cwd: repository, env: { ...process.env, HEADRACE_DRILL_SWAPS: options.swaps, HEADRACE_DRILL_RESULTS: work }, stdio: 'inherit' },
  );
  const drills = Object.assign(
    {},
    ...readdirSync(work).map((file) => JSON.parse(readFileSync(join(work, file), 'utf8')) as object),
  ) as Record<string, object>;
  for (const [name, drill] of Object.entries(drills)) console.info(name, JSON.stringify(drill));
  const machine = {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    loadAverageAtEnd: loadavg()[0],
  };
  const passed = status === 0;
  writeFileSync(
    join(import.meta.dirname, 'swaps.json'),
    `${JSON.stringify({ date: new Date().toISOString(), machine, passed, ...drills }, null, 2)}\n`,
  );
  process.exitCode = passed ? 0 : 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}
