/**
 * `npm run build && node bench/serving/swaps.ts`: a thousand hot swaps under load, as many while one of two processes is killed again and again, and as many under load of
 * tritonclient. The drills are those of services/serving/test/swaps.test.ts and tests/conformance/swaps.test.ts, longer; prints what it counted and writes it with machine
 * and date into `swaps.json` beside this file, where drills that were not run now keep what they had. `--only tritonclient`, `--swaps 100`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

// Node runs this file as it is, and the compiler of the repository wants other endings than Node.
const { machine, repository } = (await import(new URL('../kit.ts', import.meta.url).href)) as typeof import('../kit.js');

const { values: options } = parseArgs({ options: { swaps: { type: 'string', default: '1000' }, only: { type: 'string' } } });
const SUITES: Readonly<Record<string, string>> = {
  ours: 'services/serving/test/swaps.test.ts',
  tritonclient: 'tests/conformance/swaps.test.ts',
};
const suites = options.only === undefined ? Object.values(SUITES) : [SUITES[options.only]];
if (suites.includes(undefined)) throw new Error(`--only is one of ${Object.keys(SUITES).join(', ')}, got ${options.only}`);
const work = mkdtempSync(join(tmpdir(), 'bench-swaps-'));
try {
  const { status } = spawnSync(
    process.execPath,
    [join(repository, 'node_modules/vitest/vitest.mjs'), 'run', '--project', 'engines', ...(suites as string[])],
    { cwd: repository, env: { ...process.env, HEADRACE_DRILL_SWAPS: options.swaps, HEADRACE_DRILL_RESULTS: work }, stdio: 'inherit' },
  );
  const drills = Object.assign(
    {},
    ...readdirSync(work).map((file) => JSON.parse(readFileSync(join(work, file), 'utf8')) as object),
  ) as Record<string, object>;
  for (const [name, drill] of Object.entries(drills)) console.info(name, JSON.stringify(drill));
  const record = join(import.meta.dirname, 'swaps.json');
  const recorded = existsSync(record) ? (JSON.parse(readFileSync(record, 'utf8')) as Record<string, object>) : {};
  for (const [name, drill] of Object.entries(drills)) recorded[name] = { date: new Date().toISOString(), machine: machine(), ...drill };
  writeFileSync(record, `${JSON.stringify(recorded, null, 2)}\n`);
  process.exitCode = status ?? 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}
