import { readFile } from 'node:fs/promises';

/** Resident memory of each process, whole megabytes; absent where the system has no /proc. */
export async function residentMegabytes(
  processes: readonly { readonly name: string; readonly pid: number }[],
): Promise<Record<string, number>> {
  const entries = await Promise.all(
    processes.map(async ({ name, pid }) => {
      const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
      const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(status)?.[1];
      return kilobytes === undefined ? [] : [[name, Math.round(Number(kilobytes) / 1024)] as const];
    }),
  );
  return Object.fromEntries(entries.flat());
}
