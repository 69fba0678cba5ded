import type { Tx } from '@headrace/platform/postgres/postgres';
import type { MachineResources } from './machine.js';

export interface WorkerRow {
  readonly worker_id: string;
  readonly host: string;
  readonly pid: number;
  readonly cpus: number;
  readonly memory_bytes: number;
  readonly gpus: readonly { readonly name: string; readonly memoryMiB: number }[];
  readonly run_id: string;
  readonly started_at: Date;
  readonly heartbeat_at: Date;
}

/** Says that the worker lives, what it offers, and which run it holds ('' = none). */
export async function announceWorker(tx: Tx, workerId: string, pid: number, machine: MachineResources, runId: string): Promise<void> {
  await tx.execute(
    `INSERT INTO workers (worker_id, host, pid, cpus, memory_bytes, gpus, run_id) VALUES ($1, $2, $3, $4, $5, $6, $7)
     ON CONFLICT (worker_id) DO UPDATE SET run_id = excluded.run_id, heartbeat_at = now()`,
    [workerId, machine.host, pid, machine.cpus, machine.memoryBytes, JSON.stringify(machine.gpus), runId],
  );
}

export async function removeWorker(tx: Tx, workerId: string): Promise<void> {
  await tx.execute('DELETE FROM workers WHERE worker_id = $1', [workerId]);
}

/** Those that spoke lately; the silent ones are forgotten. */
export async function listWorkers(tx: Tx, silentMs: number): Promise<WorkerRow[]> {
  await tx.execute(`DELETE FROM workers WHERE heartbeat_at < now() - $1 * interval '1 millisecond'`, [silentMs]);
  return tx.query<WorkerRow>('SELECT * FROM workers ORDER BY started_at, worker_id');
}
