import type { LoopReport } from '@headrace/example-employment/report';
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { documentedCommands } from './documented-commands.js';
import { run, RunningHeadrace } from './running-headrace.js';

/** Commands whose effect this file or the whole test run already is. */
const COVERED_ELSEWHERE = [
  /^npm start( -- --exit)?$/,
  /^npm test( -- .*)?$/,
  /^npm run (down|clean|generate|build|lint)$/,
  /^git clone /,
  /^cd /,
  /^python /,
  /^npx vitest run /,
  /^node bench\//,
];

const headrace = new RunningHeadrace();
let report: LoopReport;

beforeAll(async () => {
  await headrace.start([], 'Headrace is up', 600_000);
  report = headrace.report() as LoopReport;
}, 620_000);

afterAll(async () => {
  await headrace.interrupt(60_000);
  await headrace.headrace(['clean']);
});

describe('npm start', () => {
  it('closes the loop: every check of the report holds', () => {
    expect(report.checks.filter((check) => !check.passed)).toEqual([]);
    expect(report.closed).toBe(true);
  });

  it('loses no prediction, also under constant load through the hot swap', () => {
    expect(report.predictions.lost).toBe(0);
    expect(report.predictions.answered).toBeGreaterThan(2 * 69_126);
    expect(Object.keys(report.predictions.byVersion).sort()).toEqual(['1', '2']);
  });

  it('answers from the walk over the trees that the trainer wrote, both versions', async () => {
    const metrics = await (await fetch(`http://127.0.0.1:${headrace.ports().get(7040)}/metrics`)).text();
    expect(metrics).toMatch(/headrace_serving_opened_total\{model="employment",runtime="trees",service="serving"\} 2/);
    expect(metrics).not.toMatch(/headrace_serving_opened_total\{[^}]*runtime="onnxruntime"/);
  });

  it('finds the real bias and mends it at a small price', () => {
    expect(report.fairness).toMatchObject({ metric: 'equal_opportunity_difference', attribute: 'DIS' });
    expect(report.fairness.before).toBeGreaterThan(0.5);
    expect(report.fairness.after).toBeLessThan(0.2);
    expect(report.accuracy.before - report.accuracy.after).toBeLessThan(0.03);
  });

  it('keeps the chain from a prediction back to its training rows', () => {
    const [v1, v2] = report.versions;
    expect(v1!.mitigation).toBe('no mitigation');
    expect(v2!.mitigation).toBe('reweighing on DIS');
    expect(v2!.trainingSetHash).toMatch(/^[0-9a-f]{64}$/);
    expect(report.trace.join('\n')).toContain(report.alert.id);
    expect(report.steps.length).toBeGreaterThan(10);
  });
});

describe('the commands in the docs', () => {
  const commands = [...new Set(documentedCommands().map(({ line }) => line))].filter(
    (line) => !COVERED_ELSEWHERE.some((pattern) => pattern.test(line)),
  );

  it('are found', () => expect(commands.length).toBeGreaterThan(5));

  it.each(commands)('%s', async (line) => {
    const [program, ...args] = words(withPorts(line));
    const result = program === 'npm' ? await headrace.headrace(args.slice(args.indexOf('--') + 1)) : await run(program!, args);
    expect(result.code, `${result.stdout}\n${result.stderr}`).toBe(0);
  });
});

describe('Ctrl-C', () => {
  it('stops everything, and leaves no process', async () => {
    expect(await headrace.interrupt(60_000)).toBe(0);
    expect(headrace.leftOvers()).toEqual([]);
  }, 90_000);
});

describe('a second start in the same state folder', () => {
  it('runs the loop again in a project of its own, and it closes again', async () => {
    await headrace.start([], 'Headrace is up', 600_000);
    const second = headrace.report() as LoopReport;
    expect([report.project, second.project]).toEqual(['default', 'employment-2']);
    expect(second.checks.filter((check) => !check.passed)).toEqual([]);
    expect(second.closed).toBe(true);
  }, 620_000);

  it('still answers in the first project, from version 2 and the features of the first run', async () => {
    const { code, stdout, stderr } = await headrace.headrace(['predict', 'employment', '100000']);
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/version\W+2/);
  });

  it('ends by Ctrl-C as cleanly', async () => {
    expect(await headrace.interrupt(60_000)).toBe(0);
    expect(headrace.leftOvers()).toEqual([]);
  }, 90_000);

  it('lets `clean` remove every file', async () => {
    expect(await headrace.headrace(['clean'])).toMatchObject({ code: 0 });
    expect(existsSync(headrace.stateDir)).toBe(false);
  });
});

/** The docs name the default ports; this run has others. */
function withPorts(line: string): string {
  let text = line;
  for (const [documented, actual] of headrace.ports()) text = text.replaceAll(`127.0.0.1:${documented}`, `127.0.0.1:${actual}`);
  return text;
}

/** Words of a command line; single and double quotes group, nothing is expanded. */
function words(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map((match) => match[1] ?? match[2] ?? match[3]!);
}
