// Renews package-lock.json from the package.json files alone. npm drops other platforms' packages from the lock when it
// looks at an installed node_modules, and then refuses `npm ci` on a fresh clone; so the lock is made in an empty folder.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const scratch = mkdtempSync(join(tmpdir(), 'headrace-lock-'));
try {
  const files = execFileSync('git', ['ls-files', '*package.json', '.npmrc'], { cwd: root, encoding: 'utf8' }).trim().split('\n');
  for (const file of files) {
    mkdirSync(join(scratch, dirname(file)), { recursive: true });
    cpSync(join(root, file), join(scratch, file));
  }
  execFileSync('npm', ['install', '--package-lock-only', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: scratch,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  cpSync(join(scratch, 'package-lock.json'), join(root, 'package-lock.json'));
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
