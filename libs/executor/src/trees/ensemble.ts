import { NoTrees } from './refused.js';
import type { OnnxNode } from './onnx-nodes.js';

/** How a node asks: the true child is taken when this holds for (value, threshold). A NaN holds for none. */
export type Comparison = 'BRANCH_LEQ' | 'BRANCH_LT' | 'BRANCH_GTE' | 'BRANCH_GT';

/** Nodes of all trees, one tree after the other; the children of a node lie side by side, the true one first. Leaves are their own next node. */
export interface Ensemble {
  readonly comparison: Comparison;
  /** Thresholds, and at leaves the weight. */
  readonly values: Float32Array;
  /** Column that is compared; at leaves `columns`, a column that is always NaN. */
  readonly features: Uint16Array;
  /** Index in its tree of the true child, or at leaves of the node before. */
  readonly children: Uint16Array;
  /** 1: a NaN takes the true child. */
  readonly missing: Uint8Array;
  /** First node of each tree. */
  readonly roots: Uint32Array;
  readonly depths: Uint32Array;
  /** Added to the sum of the leaves. */
  readonly base: number;
  /** Columns of the matrix. */
  readonly columns: number;
}

/** What fits into the 16 bits of a node, and how deep a walk that goes to the end of each tree is worth its steps. */
const LIMITS = { nodesOfTree: 65_535, columns: 16_383, depth: 64, nodes: 32_000_000 };
const COMPARISONS: ReadonlySet<string> = new Set<Comparison>(['BRANCH_LEQ', 'BRANCH_LT', 'BRANCH_GTE', 'BRANCH_GT']);

/** @throws NoTrees for what the operator knows and this does not: other comparisons, several targets, doubles, trees beyond the limits. */
export function readEnsemble(node: OnnxNode, columns: number): Ensemble {
  if (columns > LIMITS.columns) throw new NoTrees(`${columns} columns; at most ${LIMITS.columns}`);
  const source = readAttributes(node);
  const total = source.modes.length;
  if (total > LIMITS.nodes) throw new NoTrees(`${total} nodes; at most ${LIMITS.nodes}`);
  const layout = new Layout(source, columns);
  const roots = source.roots.map((root) => layout.add(root));
  // Every node of the file is in one tree, once; `add` refuses the second time.
  if (layout.size !== total) throw new NoTrees(`${total - layout.size} of its nodes belong to no tree`);
  return { ...layout.arrays(), roots: Uint32Array.from(roots), depths: Uint32Array.from(layout.depths), base: source.base, columns };
}

/** Attributes by node, in the order of the file. */
interface Source {
  readonly comparison: Comparison;
  readonly modes: readonly string[];
  readonly features: readonly number[];
  readonly thresholds: readonly number[];
  /** Index of the node in the file; -1 at leaves. */
  readonly ifTrue: Int32Array;
  readonly ifFalse: Int32Array;
  readonly missing: readonly number[];
  /** Of leaves. */
  readonly weights: Float32Array;
  /** The first node of each tree, in the order of the trees. */
  readonly roots: readonly number[];
  readonly base: number;
}

class Layout {
  readonly depths: number[] = [];
  readonly #columns: number;
  readonly #values: Float32Array;
  readonly #features: Uint16Array;
  readonly #children: Uint16Array;
  readonly #missing: Uint8Array;
  readonly #seen: Uint8Array;
  size = 0;

  constructor(
    private readonly source: Source,
    columns: number,
  ) {
    const total = source.modes.length;
    this.#columns = columns;
    this.#values = new Float32Array(total);
    this.#features = new Uint16Array(total);
    this.#children = new Uint16Array(total);
    this.#missing = new Uint8Array(total);
    this.#seen = new Uint8Array(total);
  }

  /** Breadth first, so that the nodes that most rows visit lie together. @returns its place. */
  add(root: number): number {
    const first = this.size;
    const { ifTrue, ifFalse } = this.source;
    let level = [root];
    let places = 1;
    let depth = -1;
    for (; level.length > 0; depth++) {
      const next: number[] = [];
      for (const node of level) {
        if (this.#seen[node]) throw new NoTrees('a node has two parents');
        this.#seen[node] = 1;
        const isLeaf = ifTrue[node] === -1;
        this.#put(node, isLeaf ? this.size - first - 1 : places);
        if (isLeaf) continue;
        places += 2;
        next.push(ifTrue[node]!, ifFalse[node]!);
      }
      level = next;
    }
    if (places > LIMITS.nodesOfTree) throw new NoTrees(`a tree of ${places} nodes; at most ${LIMITS.nodesOfTree}`);
    if (depth > LIMITS.depth) throw new NoTrees(`a tree of depth ${depth}; at most ${LIMITS.depth}`);
    this.depths.push(depth);
    return first;
  }

  #put(node: number, child: number): void {
    const { source, size: at } = this;
    const isLeaf = source.ifTrue[node] === -1;
    const feature = source.features[node]!;
    if (!isLeaf && (feature < 0 || feature >= this.#columns)) throw new NoTrees(`a node compares column ${feature} of ${this.#columns}`);
    this.#values[at] = isLeaf ? source.weights[node]! : source.thresholds[node]!;
    this.#features[at] = isLeaf ? this.#columns : feature;
    this.#children[at] = child;
    this.#missing[at] = !isLeaf && source.missing[node] === 1 ? 1 : 0;
    this.size++;
  }

  arrays() {
    return {
      comparison: this.source.comparison,
      values: this.#values,
      features: this.#features,
      children: this.#children,
      missing: this.#missing,
    };
  }
}

function readAttributes({ type, attributes }: OnnxNode): Source {
  const target = type === 'TreeEnsembleClassifier' ? 'class' : 'target';
  for (const [name, { isOther }] of attributes) if (isOther) throw new NoTrees(`${name} is given as a tensor`);
  const ints = (name: string): readonly number[] => attributes.get(name)?.ints ?? [];
  const floats = (name: string): readonly number[] => attributes.get(name)?.floats ?? [];
  const text = (name: string, otherwise: string): string => attributes.get(name)?.strings[0] ?? otherwise;
  if (text('aggregate_function', 'SUM') !== 'SUM') throw new NoTrees('its trees are not summed');
  if (target === 'target' && text('post_transform', 'NONE') !== 'NONE') throw new NoTrees('it transforms its sum itself');
  if (new Set(ints(`${target}_ids`)).size !== 1 || (target === 'target' && (ints('n_targets')[0] ?? 1) !== 1))
    throw new NoTrees('its trees have several targets');
  const base = floats('base_values');
  if (base.length > 1) throw new NoTrees('it has several base values');
  const modes = attributes.get('nodes_modes')?.strings ?? [];
  const inner = new Set(modes.filter((mode) => mode !== 'LEAF'));
  const comparison = inner.size === 0 ? 'BRANCH_LEQ' : [...inner][0]!;
  if (inner.size > 1 || !COMPARISONS.has(comparison)) throw new NoTrees(`its nodes compare by ${[...inner].join(' and ')}`);
  const treeIds = ints('nodes_treeids');
  const lists = { features: ints('nodes_featureids'), thresholds: floats('nodes_values') };
  for (const [name, list] of Object.entries({ ...lists, treeIds, ids: ints('nodes_nodeids') }))
    if (list.length !== modes.length) throw new NoTrees(`${list.length} ${name} of ${modes.length} nodes`);
  const links = linkNodes(treeIds, ints('nodes_nodeids'), modes, {
    ifTrue: ints('nodes_truenodeids'),
    ifFalse: ints('nodes_falsenodeids'),
  });
  const weights = readWeights(links.at, modes, ints(`${target}_treeids`), ints(`${target}_nodeids`), floats(`${target}_weights`));
  const missing = ints('nodes_missing_value_tracks_true');
  return { ...lists, ...links, comparison: comparison as Comparison, modes, missing, weights, base: base[0] ?? 0 };
}

type IndexOf = (tree: number, id: number) => number;

function linkNodes(
  treeIds: readonly number[],
  ids: readonly number[],
  modes: readonly string[],
  children: { readonly ifTrue: readonly number[]; readonly ifFalse: readonly number[] },
): { at: IndexOf; ifTrue: Int32Array; ifFalse: Int32Array; roots: number[] } {
  const { at, trees } = indexNodes(treeIds, ids);
  const isChild = new Uint8Array(modes.length);
  const link = (ids: readonly number[]): Int32Array => {
    const links = new Int32Array(modes.length).fill(-1);
    for (let node = 0; node < links.length; node++) {
      if (modes[node] === 'LEAF') continue;
      links[node] = at(treeIds[node]!, ids[node]!);
      isChild[links[node]!] = 1;
    }
    return links;
  };
  const [ifTrue, ifFalse] = [link(children.ifTrue), link(children.ifFalse)];
  const roots: number[] = [];
  for (let node = 0; node < isChild.length; node++) if (!isChild[node]) roots.push(node);
  if (roots.length !== trees) throw new NoTrees(`${trees} trees have ${roots.length} roots`);
  return { at, ifTrue, ifFalse, roots };
}

/** Converters number the nodes of a tree in the order of the file: then a place is a sum, and no table is made. */
function indexNodes(treeIds: readonly number[], ids: readonly number[]): { at: IndexOf; trees: number } {
  const firsts = new Map<number, number>();
  let first = 0;
  let isCounted = true;
  for (let node = 0; node < treeIds.length && isCounted; node++) {
    if (node === 0 || treeIds[node] !== treeIds[node - 1]) {
      first = node;
      isCounted = !firsts.has(treeIds[node]!);
      firsts.set(treeIds[node]!, node);
    }
    isCounted &&= ids[node] === node - first;
  }
  if (!isCounted) return indexByTable(treeIds, ids);
  const at: IndexOf = (tree, id) => {
    const node = (firsts.get(tree) ?? Number.NaN) + id;
    if (id < 0 || treeIds[node] !== tree) throw noNode(tree, id);
    return node;
  };
  return { at, trees: firsts.size };
}

function indexByTable(treeIds: readonly number[], ids: readonly number[]): { at: IndexOf; trees: number } {
  const places = new Map<number, Map<number, number>>();
  for (const [node, tree] of treeIds.entries()) {
    const ofTree = places.get(tree) ?? new Map<number, number>();
    places.set(tree, ofTree);
    if (ofTree.has(ids[node]!)) throw new NoTrees(`tree ${tree} has node ${ids[node]} twice`);
    ofTree.set(ids[node]!, node);
  }
  const at: IndexOf = (tree, id) => {
    const node = places.get(tree)?.get(id);
    if (node === undefined) throw noNode(tree, id);
    return node;
  };
  return { at, trees: places.size };
}

const noNode = (tree: number, id: number): NoTrees => new NoTrees(`tree ${tree} has no node ${id}`);

function readWeights(
  at: IndexOf,
  modes: readonly string[],
  treeIds: readonly number[],
  ids: readonly number[],
  weights: readonly number[],
): Float32Array {
  const ofNode = new Float32Array(modes.length);
  const isGiven = new Uint8Array(modes.length);
  for (const [i, weight] of weights.entries()) {
    const node = at(treeIds[i]!, ids[i]!);
    if (isGiven[node] || modes[node] !== 'LEAF') throw new NoTrees('a weight is not that of one leaf');
    isGiven[node] = 1;
    ofNode[node] = weight;
  }
  // ONNX Runtime adds what else stands there, or takes the row for one without a score.
  if (weights.length !== modes.filter((mode) => mode === 'LEAF').length) throw new NoTrees('a leaf has no weight');
  return ofNode;
}
