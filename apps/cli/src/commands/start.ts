import { messageOf } from '@headrace/base/errors';
import { connect } from '@headrace/example-employment/connect';
import { freshProject } from '@headrace/example-employment/fresh-project';
import { runLoop } from '@headrace/example-employment/loop';
import { formatReport, type LoopReport } from '@headrace/example-employment/report';
import { Command } from 'commander';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { preparePython } from '../cluster/prepare-python.js';
import { startCluster, type Cluster } from '../cluster/start-cluster.js';
import { residentMegabytes } from '../cluster/memory.js';
import { clientOptions } from '../cluster/site.js';
import { loadConfig, type CliConfig } from '../config.js';
import { Progress } from '../terminal/progress.js';

export function startCommand(): Command {
  return new Command('start')
    .description('start the engines and the five services, run the employment example live, and stay up')
    .option('--exit', 'stop everything after the report; exit 0 only when the loop closed')
    .option('--no-example', 'start only, without the example')
    .action(async ({ exit, example }: { exit?: boolean; example: boolean }) => {
      const config = loadConfig();
      process.exitCode = await start(config, { exit: exit === true, example });
    });
}

/** @returns the exit code */
async function start(config: CliConfig, options: { readonly exit: boolean; readonly example: boolean }): Promise<number> {
  const progress = new Progress();
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupted.abort(signal));
  progress.line(`state folder ${resolve(config.stateDir)}`);
  const cluster = await startCluster(config, progress, () => preparePython(config.stateDir, progress));
  let stopping = false;
  try {
    watchForCrashes(cluster, progress, () => interrupted.signal.aborted || stopping);
    const report = options.example ? await orInterrupt(runExample(config, cluster, progress), interrupted.signal) : undefined;
    if (options.exit) return report === undefined || report.closed ? 0 : 1;
    if (!interrupted.signal.aborted) {
      process.stdout.write(banner(cluster, report?.project));
      await untilAborted(interrupted.signal);
    }
    return 0;
  } catch (error) {
    if (!interrupted.signal.aborted) throw error;
    return 130;
  } finally {
    stopping = true;
    progress.line('stopping services and engines');
    await cluster.stop();
    progress.line('stopped; `npm run clean` removes what is left on disk');
  }
}

async function runExample(config: CliConfig, cluster: Cluster, progress: Progress): Promise<LoopReport> {
  const grpc = Object.fromEntries(Object.entries(cluster.endpoints).map(([name, doors]) => [name, doors.grpc])) as Parameters<
    typeof connect
  >[0]['grpc'];
  const { tls } = clientOptions(config);
  const project = await freshProject(grpc['feature-store'], config.apiKey, tls);
  progress.line(`the employment example runs in project ${project}`);
  const connections = connect({ project, kafkaBrokers: cluster.kafkaBrokers, apiKey: config.apiKey, grpc, tls });
  try {
    const report = await runLoop(connections, progress);
    const file = join(resolve(config.stateDir), 'report.json');
    const memory = await residentMegabytes([
      ...cluster.services,
      ...cluster.engines.processes.map(({ engine, pid }) => ({ name: engine, pid })),
    ]);
    writeFileSync(file, `${JSON.stringify({ ...report, memoryMb: memory }, null, 2)}\n`);
    process.stdout.write(
      `${formatReport(report)}\n\n  memory (MB)   ${Object.entries(memory)
        .map(([name, mb]) => `${name} ${mb}`)
        .join(', ')}\n  report        ${file}\n`,
    );
    return report;
  } finally {
    await connections.close();
  }
}

/** A service that dies is said at once, with the file that tells why. */
function watchForCrashes(cluster: Cluster, progress: Progress, expected: () => boolean): void {
  for (const service of cluster.services)
    service.onExit((code) => expected() || progress.line(`${service.name} ended (code ${code}); its log: ${service.logFile}`));
}

function banner({ endpoints, kafkaBrokers }: Cluster, project = 'default'): string {
  const inProject = project === 'default' ? '' : ` --project ${project}`;
  const rows = Object.entries(endpoints).map(([name, doors]) => `    ${name.padEnd(15)}${doors.http.padEnd(26)}gRPC ${doors.grpc}`);
  return `
  Headrace is up
${rows.join('\n')}
    kafka          ${kafkaBrokers.join(',')}

  next
    npm run headrace -- status
    npm run headrace -- predict employment 100000${inProject}
    npm run headrace -- alerts employment${inProject}
  Ctrl-C stops everything.
`;
}

/** A signal handler alone does not keep Node alive: without the timer the process would end here, and leave everything running. */
function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const keepAlive = setInterval(() => undefined, 3_600_000);
    const finish = (): void => {
      clearInterval(keepAlive);
      done();
    };
    if (signal.aborted) finish();
    else signal.addEventListener('abort', finish, { once: true });
  });
}

function orInterrupt<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((done, reject) => {
    signal.addEventListener('abort', () => reject(new Error(`interrupted by ${messageOf(signal.reason)}`)), { once: true });
    work.then(done, reject);
  });
}
