/** A loaded version as the budget sees it. */
export interface Tenant<M> {
  readonly model: M;
  readonly bytes: number;
  /** ms since the epoch */
  readonly usedAtMs: number;
  /** false = it holds a request, an arm, a pin, or was asked to stay. */
  readonly mayLeave: boolean;
}

/**
 * Who leaves so that the rest fits: the one that was used longest ago first, and nobody beyond what is needed. When all that may leave is
 * not enough, they leave all the same, and the rest stays beyond the budget: a version that is wanted is never refused for it.
 */
export function chooseLeavers<M>(tenants: readonly Tenant<M>[], budgetBytes: number): M[] {
  let bytes = tenants.reduce((sum, tenant) => sum + tenant.bytes, 0);
  const leavers: M[] = [];
  for (const tenant of tenants.filter((one) => one.mayLeave).sort((a, b) => a.usedAtMs - b.usedAtMs)) {
    if (bytes <= budgetBytes) break;
    leavers.push(tenant.model);
    bytes -= tenant.bytes;
  }
  return leavers;
}
