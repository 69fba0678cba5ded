/**
 * `npm run build && node bench/serving/swaps.ts`: a thousand hot swaps under load, and as many while one of two processes is killed again and again. The drill is
 * that of services/serving/test/swaps.test.ts, longer; prints what it counted and writes `swaps.json` beside this file with machine and date.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({ options: { swaps: { type: 'string', default: '1000' } } });
const repository = join(import.meta.dirname, '../..');
const work = mkdtempSync(join(tmpdir(), 'bench-swaps-'));
const result = join(work, 'result.json');
try {
  const { status } = spawnSync(
    process.execPath,
    [join(repository, 'node_modules/vitest/vitest.mjs'), 'run', '--project', 'engines', 'services/serving/test/swaps.test.ts'],
    { cwd: repository, env: { ...process.env, HEADRACE_DRILL_SWAPS: options.swaps, HEADRACE_DRILL_RESULT: result }, stdio: 'inherit' },
  );
  const drills = JSON.parse(readFileSync(result, 'utf8')) as Record<string, object>;
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
