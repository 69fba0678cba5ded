/** Where rows come from. */
export type BackfillSource =
  { readonly kind: 'file'; readonly path: string } | { readonly kind: 'postgres'; readonly source: string; readonly query: string };

export type BackfillState = 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled';

/** How far a backfill has come; what lies before it is stored. */
export interface BackfillPosition {
  readonly rows: number;
  /** Of a query: the last event time, in microseconds, and how many of the rows have it. */
  readonly eventTimeUs: number | null;
  readonly tied: number;
}

export interface Backfill {
  readonly id: string;
  readonly project: string;
  readonly view: string;
  readonly source: BackfillSource;
  readonly to: 'both' | 'online' | 'offline';
  /** 0 = as fast as it goes. */
  readonly rowsPerSecond: number;
  readonly eventTimeColumn: string;
  readonly state: BackfillState;
  readonly position: BackfillPosition;
  /** 0 while it is not known. */
  readonly rowsTotal: number;
  readonly rowsRefused: number;
  readonly reason: string;
  readonly requestedAtMs: number;
  readonly finishedAtMs: number | undefined;
}

export function describeSource(source: BackfillSource): string {
  return source.kind === 'file' ? `file ${source.path}` : `query on ${source.source}: ${source.query}`;
}
