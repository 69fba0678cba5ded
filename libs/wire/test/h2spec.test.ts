import { execFile } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { WireServer } from '../src/server.js';
import { testService } from './services.js';

const run = promisify(execFile);
const folder = fileURLToPath(new URL('../../../.headrace/cache/go-bin', import.meta.url));
const program = `${folder}/h2spec`;
const go = await run('go', ['version']).then(
  () => true,
  () => false,
);

it.skipIf(!go && !existsSync(program))(
  'h2spec (generic, http2, hpack; strict) passes whole; skipped only where Go is missing',
  async () => {
    mkdirSync(folder, { recursive: true });
    if (!existsSync(program))
      await run('go', ['install', 'github.com/summerwind/h2spec/cmd/h2spec@latest'], { env: { ...process.env, GOBIN: folder } });
    const server = new WireServer(testService({ aborts: [], ticks: 0, batches: [] }));
    const { port } = await server.listen({ port: 0 });
    const { stdout } = await run(program, ['--strict', '-h', '127.0.0.1', '-p', String(port), '-o', '5'], { maxBuffer: 1 << 24 }).catch(
      (error: { stdout?: string }) => ({ stdout: String(error.stdout) }),
    );
    const summary = stdout.trim().split('\n').at(-1);
    expect(summary, stdout.slice(stdout.indexOf('Failures:'))).toMatch(/^146 tests, 146 passed, 0 skipped, 0 failed$/);
    await server.drain(1000);
  },
  180_000,
);
