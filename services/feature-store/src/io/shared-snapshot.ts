import type { Postgres, TransactionOptions, Tx } from '@headrace/platform/postgres/postgres';

/** Transactions on so many connections that all see one and the same snapshot of the database. They commit when `work` resolves. */
export function inSharedSnapshot<T>(
  postgres: Postgres,
  count: number,
  options: Pick<TransactionOptions, 'statementTimeoutMs'>,
  work: (txs: readonly Tx[]) => Promise<T>,
): Promise<T> {
  const repeatable = { ...options, isolation: 'repeatable read' } as const;
  const others = (snapshot: string, txs: readonly Tx[]): Promise<T> =>
    txs.length === count
      ? work(txs)
      : postgres.transaction(async (tx) => {
          // Before any query of its own.
          await tx.execute(`SET TRANSACTION SNAPSHOT '${snapshot}'`);
          return others(snapshot, [...txs, tx]);
        }, repeatable);
  return postgres.transaction(async (tx) => {
    const [exported] = await tx.query<{ snapshot: string }>('SELECT pg_export_snapshot() AS snapshot');
    return others(exported!.snapshot, [tx]);
  }, repeatable);
}
