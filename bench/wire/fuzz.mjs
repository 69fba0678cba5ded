// The longer fuzz: `node bench/wire/fuzz.mjs [--inputs 10000000] [--seed 1]`, behind `npm run build`. The test suite runs 200,000 of the same inputs.
// Each round has its own seed, printed before it starts: a failure is replayed by `--seed N --inputs 1`. Writes into `fuzz.json` beside this file which seeds
// have passed on which commit; `--seed next` goes on behind the last of them.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const ROUND_INPUTS = 100_000;
const { values } = parseArgs({ options: { inputs: { type: 'string', default: '10000000' }, seed: { type: 'string', default: '1' } } });
const root = join(import.meta.dirname, '../..');
const out = join(root, '.headrace/cache/wire-fuzz');
execFileSync(join(root, 'node_modules/.bin/swc'), ['src', 'test', '-d', out, '--config-file', join(root, '.swcrc'), '-q'], {
  cwd: join(root, 'libs/wire'),
  stdio: 'inherit',
});
const { fuzzConnection, fuzzHpack, fuzzProtobuf } = await import(join(out, 'test/fuzz.js'));
const { seededRandom } = await import('@headrace/base/random');

const file = join(import.meta.dirname, 'fuzz.json');
const record = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { inputs: 0, runs: [] };
const first = values.seed === 'next' ? 1 + Math.max(0, ...record.runs.map((run) => run.lastSeed)) : Number(values.seed);
const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim();
const started = Date.now();
for (let done = 0, seed = first; done < Number(values.inputs); done += ROUND_INPUTS, seed++) {
  process.stdout.write(`seed ${seed}: `);
  const report = await fuzzConnection(seededRandom(seed), ROUND_INPUTS * 0.4);
  fuzzHpack(seededRandom(seed), ROUND_INPUTS * 0.3);
  fuzzProtobuf(seededRandom(seed), ROUND_INPUTS * 0.3);
  console.log(
    `ok, ${report.connectionsEnded} connections, ${report.callsStarted} calls, rss ${Math.round(process.memoryUsage().rss / 1e6)} MB, ${Math.round((Date.now() - started) / 1000)} s`,
  );
  keep(seed, done + ROUND_INPUTS);
}

/** After each round: a run that is cut off has kept what it did. */
function keep(lastSeed, inputs) {
  const run = { date: new Date(started).toISOString(), commit, node: process.version, firstSeed: first, lastSeed, inputs };
  writeFileSync(file, `${JSON.stringify({ inputs: record.inputs + inputs, runs: [...record.runs, run] }, null, 2)}\n`);
}
