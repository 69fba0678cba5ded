import { eventually } from '@headrace/testkit/eventually';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { LOW_LATENCY_NODE_OPTIONS } from './node-options.js';
import { ProcessGroup, type ProcessGroupOptions } from './process-group.js';

const folder = mkdtempSync(join(tmpdir(), 'headrace-group-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A process that says it is ready, answers `who` for others, asks `who` on SIGUSR2, and fails to start when its generation is `BAD`. */
const entry = join(folder, 'member.mjs');
writeFileSync(
  entry,
  `const { SLOT, GENERATION, BAD, OUT } = process.env;
   import { appendFileSync } from 'node:fs';
   const note = (text) => appendFileSync(OUT, text + '\\n');
   if (GENERATION === BAD) process.exit(3);
   process.on('message', (m) => {
     if (m.kind === 'asked') process.send({ kind: 'answer', id: m.id, answer: { ok: true, body: 'slot ' + SLOT } });
     else note(SLOT + ' heard ' + JSON.stringify(m.answers));
   });
   process.on('SIGUSR2', () => process.send({ kind: 'ask', id: 7, topic: 'who', body: null, timeoutMs: 1000 }));
   process.on('SIGTERM', () => process.exit(0));
   note(SLOT + '.' + GENERATION + ' pid ' + process.pid + ' ' + process.execArgv.join(' '));
   process.send({ kind: 'ready', http: 'http://127.0.0.1:1', grpc: '127.0.0.1:2' });`,
);

const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
let groups = 0;

async function running(count: number, bad = ''): Promise<{ group: ProcessGroup; lines: () => string[]; pidOf: (name: string) => number }> {
  const out = join(folder, `out-${groups++}`);
  writeFileSync(out, '');
  const options: ProcessGroupOptions = {
    entry,
    count,
    nodeOptions: LOW_LATENCY_NODE_OPTIONS,
    readyTimeoutMs: 10_000,
    stopTimeoutMs: 5_000,
    envOf: (slot, generation) => ({ SLOT: String(slot), GENERATION: String(generation), BAD: bad, OUT: out }),
    own: { who: () => Promise.resolve('supervisor') },
  };
  const group = new ProcessGroup(options, quiet);
  await group.start();
  const lines = (): string[] => readFileSync(out, 'utf8').trim().split('\n');
  const pidOf = (name: string): number =>
    Number(
      lines()
        .find((line) => line.startsWith(`${name} pid`))!
        .split(' ')[2],
    );
  return { group, lines, pidOf };
}

describe('process group', () => {
  it('starts a crashed process again, and stops all without starting any', async () => {
    const { group, lines, pidOf } = await running(2);
    process.kill(pidOf('1.1'), 'SIGKILL');
    await eventually('it is back', () => lines().some((line) => line.startsWith('1.2 ')) && group.ready === 2);
    expect(group.restarts).toBe(1);
    await group.close();
    expect(group.ready).toBe(0);
    expect(lines()).toHaveLength(3);
    for (const line of lines()) expect(line).toContain(LOW_LATENCY_NODE_OPTIONS.join(' '));
  });

  it('replaces each process once, one after the other, and calls that no crash', async () => {
    const { group, lines } = await running(3);
    await Promise.all([group.roll(), group.roll()]);
    expect(
      lines()
        .map((line) => line.split(' ')[0])
        .slice(3),
    ).toEqual(['0.2', '1.2', '2.2']);
    expect([group.ready, group.restarts]).toEqual([3, 0]);
    await group.close();
  });

  it('ends a roll whose new process does not start, and keeps all of the old ones', async () => {
    const { group, pidOf } = await running(2, '2');
    await group.roll();
    expect([group.ready, group.restarts]).toEqual([2, 0]);
    for (const name of ['0.1', '1.1']) expect(() => process.kill(pidOf(name), 0)).not.toThrow();
    await group.close();
  });

  it('fails to start when a process does, and leaves none behind', async () => {
    await expect(running(2, '1')).rejects.toThrow(/was not ready: it ended with code 3/);
  });

  it('puts the question of one process to all others and to the supervisor', async () => {
    const { group, lines, pidOf } = await running(3);
    process.kill(pidOf('1.1'), 'SIGUSR2');
    const answer = await eventually('it heard', () => lines().find((line) => line.startsWith('1 heard')) ?? false);
    const bodies = (JSON.parse(answer.slice('1 heard '.length)) as { body: string }[]).map(({ body }) => body);
    expect(bodies.sort()).toEqual(['slot 0', 'slot 2', 'supervisor']);
    await group.close();
  });
});
