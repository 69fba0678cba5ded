import { identityOf } from '@headrace/engines/processes';
import type { Fetch } from '@headrace/platform/http/fetch';
import { Command } from 'commander';
import { residentMegabytes } from '../cluster/memory.js';
import { fetchOf, runningSite } from '../cluster/site.js';
import { loadConfig } from '../config.js';
import { formatTable } from '../terminal/table.js';

export function statusCommand(): Command {
  return new Command('status')
    .description('each process: is it there, is it ready, how much memory')
    .option('--json', 'for programs')
    .action(async ({ json }: { json?: boolean }) => {
      const config = loadConfig();
      const { services, endpoints } = runningSite(config);
      const memory = await residentMegabytes(services);
      const rows = await Promise.all(
        services.map(async (service) => {
          const alive = identityOf(service.pid) === service.identity;
          const doors = service.name in endpoints ? endpoints[service.name as keyof typeof endpoints] : undefined;
          return {
            name: service.name,
            pid: service.pid,
            health: alive ? await health(doors?.http, fetchOf(config)) : 'gone',
            memoryMb: memory[service.name] ?? 0,
            http: doors?.http ?? '',
            grpc: doors?.grpc ?? '',
          };
        }),
      );
      process.stdout.write(
        `${
          json
            ? JSON.stringify(rows, null, 2)
            : formatTable(
                ['service', 'pid', 'health', 'MB', 'http', 'grpc'],
                rows.map((r) => [r.name, r.pid, r.health, r.memoryMb, r.http, r.grpc]),
              )
        }\n`,
      );
      if (rows.some((row) => row.health !== 'ready' && row.health !== 'running')) process.exitCode = 1;
    });
}

/** A process without doors is `running`; the others answer for themselves. */
async function health(http: string | undefined, fetch: Fetch): Promise<string> {
  if (http === undefined) return 'running';
  try {
    const answer = (await (await fetch(`${http}/health/ready`, { signal: AbortSignal.timeout(3_000) })).json()) as { status: string };
    return answer.status;
  } catch {
    return 'no answer';
  }
}
