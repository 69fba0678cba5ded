/** What a process says to its supervisor, and what it hears, over the channel of `child_process.fork`. */
export type FromChild =
  | { readonly kind: 'ready'; readonly http: string; readonly grpc: string }
  /** A question to all others; `timeoutMs` bounds the wait for each of them. */
  | { readonly kind: 'ask'; readonly id: number; readonly topic: string; readonly body: unknown; readonly timeoutMs: number }
  | { readonly kind: 'answer'; readonly id: number; readonly answer: Answer };

export type ToChild =
  | { readonly kind: 'asked'; readonly id: number; readonly topic: string; readonly body: unknown }
  | { readonly kind: 'answers'; readonly id: number; readonly answers: readonly Answer[] };

export type Answer = { readonly ok: true; readonly body: unknown } | { readonly ok: false; readonly error: string };

/** The question by which one process collects the metrics of all. */
export const METRICS_TOPIC = 'metrics';
