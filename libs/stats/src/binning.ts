import { assert } from '@headrace/base/assert';

/**
 * Bins of about equal reference mass, made by joining neighbouring fine cells: gives, for each fine cell, its bin (0, 1, ...).
 * A bin closes as soon as it reaches the next multiple of 1/bins of the reference, so a heavy cell may leave fewer bins.
 * The bins depend on the reference alone: the same window always has the same PSI.
 */
export function quantileBins(referenceCounts: ArrayLike<number>, bins: number): Int32Array {
  assert(bins >= 2, `at least two bins are needed, got ${bins}`);
  const binOfCell = new Int32Array(referenceCounts.length);
  const total = totalOf(referenceCounts);
  let seen = 0;
  let bin = 0;
  let nextClose = total / bins;
  for (let cell = 0; cell < referenceCounts.length; cell++) {
    binOfCell[cell] = bin;
    seen += referenceCounts[cell]!;
    // The last bin stays open to the end; the tolerance is for the rounding of total / bins.
    if (seen < nextClose - 1e-9 * total || seen >= total) continue;
    bin++;
    nextClose = (Math.floor((seen / total) * bins + 1e-9) + 1) * (total / bins);
  }
  return binOfCell;
}

/** Sums the cells of each bin. `binOfCell` as `quantileBins` gives it. */
export function joinCells(counts: ArrayLike<number>, binOfCell: Int32Array): Float64Array {
  assert(counts.length === binOfCell.length, `${counts.length} cells and ${binOfCell.length} bin numbers are as many`);
  const joined = new Float64Array(binOfCell.length === 0 ? 0 : binOfCell.at(-1)! + 1);
  for (let cell = 0; cell < counts.length; cell++) joined[binOfCell[cell]!]! += counts[cell]!;
  return joined;
}

/** Sturges' equal-width edges over all given values, outer edges included. Equals numpy.histogram_bin_edges(x, 'sturges') for floats. */
export function sturgesEdges(values: ArrayLike<number>): Float64Array {
  const [min, max] = extremes(values);
  return equalWidthEdges(min, max, (max - min) / (Math.log2(values.length) + 1));
}

/** Doane's equal-width edges (Sturges corrected for skewness), outer edges included. Equals numpy.histogram_bin_edges(x, 'doane'). */
export function doaneEdges(values: ArrayLike<number>): Float64Array {
  const [min, max] = extremes(values);
  const n = values.length;
  let mean = 0;
  for (let i = 0; i < n; i++) mean += values[i]! / n;
  let m2 = 0;
  let m3 = 0;
  for (let i = 0; i < n; i++) {
    const d = values[i]! - mean;
    m2 += (d * d) / n;
    m3 += (d * d * d) / n;
  }
  if (n <= 2 || m2 === 0) return equalWidthEdges(min, max, 0);
  const skewness = m3 / m2 ** 1.5;
  const skewnessStd = Math.sqrt((6 * (n - 2)) / ((n + 1) * (n + 3)));
  return equalWidthEdges(min, max, (max - min) / (1 + Math.log2(n) + Math.log2(1 + Math.abs(skewness) / skewnessStd)));
}

/** Counts in [edge, next edge), the last bin closed on both sides, values outside dropped. Equals numpy.histogram. */
export function histogramOf(values: ArrayLike<number>, edges: Float64Array): Float64Array {
  const counts = new Float64Array(edges.length - 1);
  const last = edges.length - 1;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (!(value >= edges[0]! && value <= edges[last]!)) continue;
    let low = 0;
    let high = last;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (edges[middle]! <= value) low = middle;
      else high = middle;
    }
    counts[low]!++;
  }
  return counts;
}

/** Counts of each distinct value over both samples, aligned, in ascending order of the values. */
export function alignedValueCounts(
  reference: ArrayLike<number>,
  current: ArrayLike<number>,
): { values: Float64Array; reference: Float64Array; current: Float64Array } {
  const values = Float64Array.from(new Set([...Array.from(reference), ...Array.from(current)])).sort();
  const cellOfValue = new Map(Array.from(values, (value, cell) => [value, cell]));
  const countOf = (sample: ArrayLike<number>): Float64Array => {
    const counts = new Float64Array(values.length);
    for (let i = 0; i < sample.length; i++) counts[cellOfValue.get(sample[i]!)!]!++;
    return counts;
  };
  return { values, reference: countOf(reference), current: countOf(current) };
}

export function totalOf(counts: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < counts.length; i++) total += counts[i]!;
  return total;
}

function extremes(values: ArrayLike<number>): [number, number] {
  assert(values.length > 0, 'bin edges need at least one value');
  let min = Infinity;
  let max = -Infinity;
  for (let i = 0; i < values.length; i++) {
    min = Math.min(min, values[i]!);
    max = Math.max(max, values[i]!);
  }
  // A constant column gets one bin of width 1 around it, as in numpy.
  return min === max ? [min - 0.5, max + 0.5] : [min, max];
}

function equalWidthEdges(min: number, max: number, width: number): Float64Array {
  const bins = width > 0 ? Math.ceil((max - min) / width) : 1;
  const step = (max - min) / bins;
  const edges = Float64Array.from({ length: bins + 1 }, (_, i) => min + i * step);
  edges[bins] = max;
  return edges;
}
