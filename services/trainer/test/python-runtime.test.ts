import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { installerEnvironment } from '../src/config.js';
import { ensurePython } from '../src/io/python-runtime.js';
import { pythonHome } from './support.js';

const folder = mkdtempSync(join(tmpdir(), 'headrace-python-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const environment = installerEnvironment();

it('is made once, and found ready in no time and without a word after that', async () => {
  await ensurePython({ home: pythonHome, environment });
  const said: string[] = [];
  const begin = performance.now();
  const again = await ensurePython({ home: pythonHome, environment, report: (text) => said.push(text) });
  expect(said).toEqual([]);
  expect(performance.now() - begin).toBeLessThan(500);
  expect(again.python.startsWith(pythonHome)).toBe(true);
});

it('is built by one of two that start together after a builder that crashed, and what a failed build leaves is not taken for ready', async () => {
  const home = join(folder, 'together');
  const lockFile = join(folder, 'broken.lock');
  const content = 'this-line-is-not==a requirement at all\n';
  writeFileSync(lockFile, content);
  mkdirSync(home);
  const stale = join(home, `${createHash('sha256').update(content).digest('hex').slice(0, 16)}.lock`);
  writeFileSync(stale, '');
  utimesSync(stale, new Date(0), new Date(0));
  const said: string[] = [];
  const tries = await Promise.allSettled(
    [1, 2].map(() => ensurePython({ home, lockFile, environment, report: (text) => said.push(text) })),
  );
  for (const attempt of tries)
    expect(attempt).toMatchObject({
      status: 'rejected',
      reason: { code: 'ENGINE_MISSING', message: expect.stringMatching(/pip install .* failed with code 1/s) as string },
    });
  expect(said.filter((line) => line.includes('making an environment with'))).toHaveLength(2);
  expect(said.filter((line) => line.includes('waiting for it')).length).toBeGreaterThan(0);
  expect(readdirSync(home).some((name) => name.endsWith('.lock'))).toBe(false);
});

it('says the one command when there is no Python to build with', async () => {
  const tools = join(folder, 'empty-path');
  mkdirSync(tools);
  const lockFile = join(folder, 'other.lock');
  writeFileSync(lockFile, '# nothing\n');
  const attempt = ensurePython({ home: join(folder, 'none'), lockFile, environment: { PATH: tools } });
  await expect(attempt).rejects.toMatchObject({
    code: 'ENGINE_MISSING',
    message: expect.stringContaining('run: sudo apt-get install -y python3-venv') as string,
  });
});
