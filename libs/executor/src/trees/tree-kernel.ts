import type { Comparison, Ensemble } from './ensemble.js';
import {
  ADD,
  ADD_F32,
  AND,
  COMPARE_F32,
  F32,
  I32,
  IS_ZERO,
  LESS,
  OR,
  SHIFT_LEFT,
  UNEQUAL_F32,
  constant,
  get,
  ifTrue,
  loadF32,
  loadI32,
  loadU16,
  repeatWhile,
  set,
  storeF32,
  tee,
  wasmModule,
  type Code,
  type WasmFunction,
} from './wasm-code.js';

/** What is used of it; its types come with those of a browser alone. */
declare const WebAssembly: {
  readonly Memory: new (size: { initial: number }) => { readonly buffer: ArrayBuffer };
  readonly Module: new (code: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
};

/** Rows that walk at once. One row alone costs 2.7 us where eight together cost 1.35 us each (300 trees of depth 6), and ONNX Runtime 16 and 9. */
export const LANES = 8;

/** The walk over all trees for the rows that lie in `rows`. */
export interface TreeKernel {
  /** LANES rows of `columns + 1` floats each; the last one of a row stays NaN. */
  readonly rows: Float32Array;
  /** By lane: the sum of the leaves, in the order of the trees. */
  readonly sums: Float32Array;
  /** Floats of a row. */
  readonly rowSize: number;
  /** The first row. */
  one(): void;
  /** All LANES rows. */
  all(): void;
  /** As `one` and `all` for rows with NaN, which takes the side that its node says. */
  oneWithGaps(): void;
  allWithGaps(): void;
}

type Walk = () => void;

/** A node: threshold or weight (float32), column * 4 | takes NaN to the true child (uint16), child (uint16). */
const NODE_BYTES = 8;
const NODE_SHIFT = 3;
const FEATURE_AT = 4;
const CHILD_AT = 6;
/** A tree: address of its root, depth. */
const TREE_BYTES = 8;
const DEPTH_AT = 4;
const PAGE_BYTES = 65_536;

const OPCODES: Record<Comparison, Code> = {
  BRANCH_LEQ: COMPARE_F32.lessOrEqual,
  BRANCH_LT: COMPARE_F32.less,
  BRANCH_GTE: COMPARE_F32.greaterOrEqual,
  BRANCH_GT: COMPARE_F32.greater,
};

/**
 * Trees as data in the memory of a small WebAssembly module. A step takes no branch that a processor could guess wrong: the comparison is added to
 * the index of the child, and a leaf leads to itself, so that each row takes as many steps as its tree is deep. What is generated depends on the number of
 * columns and the comparison alone; nothing of a model becomes code.
 */
export function makeTreeKernel(ensemble: Ensemble): TreeKernel {
  const { columns, roots } = ensemble;
  const rowSize = columns + 1;
  const rowBytes = rowSize * 4;
  const sumsAt = LANES * rowBytes;
  const treesAt = align(sumsAt + LANES * 4);
  const nodesAt = align(treesAt + roots.length * TREE_BYTES);
  const memory = new WebAssembly.Memory({ initial: Math.ceil((nodesAt + ensemble.values.length * NODE_BYTES) / PAGE_BYTES) });
  writeTrees(new DataView(memory.buffer), ensemble, treesAt, nodesAt);
  const places = { rowBytes, sumsAt, treesAt, treesEnd: treesAt + roots.length * TREE_BYTES, compare: OPCODES[ensemble.comparison] };
  const both = (flags: Flags, suffix = ''): WasmFunction[] => [
    walk(`one${suffix}`, 1, flags, places),
    walk(`all${suffix}`, LANES, flags, places),
  ];
  // Where no node is flagged a NaN goes to the false side by itself.
  const functions = ensemble.missing.includes(1) ? [...both('ignored'), ...both('heeded', 'WithGaps')] : both('none');
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(wasmModule(functions)), { env: { memory } });
  const { one, all, oneWithGaps = one, allWithGaps = all } = exports as Record<'one' | 'all', Walk> & Partial<Record<string, Walk>>;
  const rows = new Float32Array(memory.buffer, 0, LANES * rowSize).fill(Number.NaN);
  const sums = new Float32Array(memory.buffer, sumsAt, LANES);
  return { one, all, oneWithGaps, allWithGaps, rows, sums, rowSize };
}

function writeTrees(data: DataView, ensemble: Ensemble, treesAt: number, nodesAt: number): void {
  const { values, features, children, missing, roots, depths } = ensemble;
  for (const [tree, root] of roots.entries()) {
    data.setUint32(treesAt + tree * TREE_BYTES, nodesAt + root * NODE_BYTES, true);
    data.setUint32(treesAt + tree * TREE_BYTES + DEPTH_AT, depths[tree]!, true);
  }
  for (let node = 0, at = nodesAt; node < values.length; node++, at += NODE_BYTES) {
    data.setFloat32(at, values[node]!, true);
    data.setUint16(at + FEATURE_AT, (features[node]! << 2) | missing[node]!, true);
    data.setUint16(at + CHILD_AT, children[node]!, true);
  }
}

/** The bit of a node that sends NaN to its true child: on no node, known not to matter, or asked. */
type Flags = 'none' | 'ignored' | 'heeded';

interface Places {
  readonly rowBytes: number;
  readonly sumsAt: number;
  readonly treesAt: number;
  readonly treesEnd: number;
  readonly compare: Code;
}

/** Locals: address in the table of trees, root, steps left, value; then by lane the address of its node; then by lane its sum. */
const [TREE, ROOT, STEPS, VALUE, FIRST_LANE] = [0, 1, 2, 3, 4];

function walk(name: string, lanes: number, flags: Flags, { rowBytes, sumsAt, treesAt, treesEnd, compare }: Places): WasmFunction {
  const nodeOf = (lane: number): number => FIRST_LANE + lane;
  const sumOf = (lane: number): number => FIRST_LANE + lanes + lane;
  const each = (code: (lane: number) => readonly Code[]): Code => Array.from({ length: lanes }, (_, lane) => code(lane)).flat(2);
  // (value op threshold), and where flags count: or the value is NaN and the node is flagged.
  const holds = (lane: number): Code => {
    const node = get(nodeOf(lane));
    const column = [...node, ...loadU16(FEATURE_AT)];
    const address = flags === 'none' ? column : [...column, ...constant(0xfffc), ...AND];
    const isBelow = [...node, ...loadF32(0), ...compare];
    if (flags !== 'heeded') return [...address, ...loadF32(lane * rowBytes), ...isBelow];
    // 0 or 1, so that it picks the flag out of the column.
    const isGap = [...get(VALUE), ...get(VALUE), ...UNEQUAL_F32];
    return [...address, ...loadF32(lane * rowBytes), ...tee(VALUE), ...isBelow, ...column, ...isGap, ...AND, ...OR];
  };
  // Root + (child + not(holds)) * size of a node.
  const step = (lane: number): readonly Code[] => {
    const node = get(nodeOf(lane));
    const next = [...node, ...loadU16(CHILD_AT), ...holds(lane), ...IS_ZERO, ...ADD, ...constant(NODE_SHIFT), ...SHIFT_LEFT];
    return [get(ROOT), next, ADD, set(nodeOf(lane))];
  };
  const oneTree = [
    get(TREE),
    loadI32(0),
    set(ROOT),
    each((lane) => [get(ROOT), set(nodeOf(lane))]),
    [...get(TREE), ...loadI32(DEPTH_AT), ...tee(STEPS)],
    ifTrue(repeatWhile(each(step), get(STEPS), constant(-1), ADD, tee(STEPS))),
    each((lane) => [get(sumOf(lane)), get(nodeOf(lane)), loadF32(0), ADD_F32, set(sumOf(lane))]),
    [...get(TREE), ...constant(TREE_BYTES), ...ADD, ...tee(TREE), ...constant(treesEnd), ...LESS],
  ];
  const store = each((lane) => [constant(0), get(sumOf(lane)), storeF32(sumsAt + lane * 4)]);
  return {
    name,
    locals: [I32, I32, I32, F32, ...Array<number>(lanes).fill(I32), ...Array<number>(lanes).fill(F32)],
    body: [...constant(treesAt), ...set(TREE), ...repeatWhile(...oneTree), ...store],
  };
}

const align = (bytes: number): number => (bytes + 15) & ~15;
