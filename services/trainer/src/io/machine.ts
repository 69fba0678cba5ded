import { execFile } from 'node:child_process';
import { availableParallelism, hostname, totalmem } from 'node:os';
import { promisify } from 'node:util';

export interface MachineResources {
  readonly host: string;
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly gpus: readonly { readonly name: string; readonly memoryMiB: number }[];
}

const NVIDIA_SMI_TIMEOUT_MS = 10_000;

/** What this machine offers to training. */
export async function machineResources(): Promise<MachineResources> {
  return { host: hostname(), cpus: availableParallelism(), memoryBytes: totalmem(), gpus: await gpus() };
}

/** No nvidia-smi, or one that finds no driver, means no GPU. */
async function gpus(): Promise<MachineResources['gpus']> {
  try {
    const { stdout } = await promisify(execFile)('nvidia-smi', ['--query-gpu=name,memory.total', '--format=csv,noheader,nounits'], {
      timeout: NVIDIA_SMI_TIMEOUT_MS,
    });
    return parseGpus(stdout);
  } catch {
    return [];
  }
}

export function parseGpus(csv: string): { name: string; memoryMiB: number }[] {
  return csv
    .split('\n')
    .map((line) => line.split(',').map((part) => part.trim()))
    .filter((parts) => parts.length === 2 && Number.isFinite(Number(parts[1])))
    .map(([name, memory]) => ({ name: name!, memoryMiB: Number(memory) }));
}
