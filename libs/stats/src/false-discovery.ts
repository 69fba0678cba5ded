/**
 * Benjamini-Hochberg: of the rejected hypotheses, an expected share of at most `level` is wrong, whatever the number of columns
 * tested (JRSS B 57, 1995; for independent or positively dependent tests). `adjusted` equals scipy.stats.false_discovery_control;
 * a hypothesis is rejected when its adjusted p-value is <= level. A NaN (no test possible) is not counted and stays NaN.
 */
export function benjaminiHochberg(pValues: ArrayLike<number>, level: number): { adjusted: Float64Array; rejected: boolean[] } {
  const order = Array.from(pValues, (_, i) => i).filter((i) => !Number.isNaN(pValues[i]!));
  order.sort((a, b) => pValues[b]! - pValues[a]!);
  const adjusted = new Float64Array(pValues.length).fill(NaN);
  const m = order.length;
  let smallest = 1;
  order.forEach((index, place) => {
    smallest = Math.min(smallest, (pValues[index]! * m) / (m - place));
    adjusted[index] = smallest;
  });
  return { adjusted, rejected: Array.from(adjusted, (p) => p <= level) };
}
