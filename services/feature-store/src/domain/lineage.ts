import { AppError } from '@headrace/base/errors';
import { splitReference } from '@headrace/definitions/reference';
import { sourceText, type ProjectDefinitions } from './feature-search.js';
import { featureNames, referencesOf } from './feature-service.js';
import { readReferences } from './personal.js';

export type LineageKind = 'Source' | 'FeatureView' | 'OnDemandView' | 'FeatureService' | 'TrainingSet' | 'Model' | 'ModelVersion';

export interface LineageNode {
  /** `<kind> <name>` */
  readonly id: string;
  readonly kind: LineageKind;
  readonly name: string;
  /** Of the definition, or of the model; 0 = it has none. */
  readonly version: number;
  readonly owner: string;
  /** Of a model version, such as champion. */
  readonly state: string;
}

export interface LineageEdge {
  readonly from: string;
  readonly to: string;
  /** The features that go this way; empty = it is not known which. */
  readonly features: readonly string[];
  /** Into a training set: the version of the definition that it was read with; 0 = not known. */
  readonly readVersion: number;
}

export interface Lineage {
  readonly nodes: readonly LineageNode[];
  readonly edges: readonly LineageEdge[];
}

/** A model of the registry with its versions. */
export interface ModelLineage {
  readonly model: string;
  readonly owner: string;
  readonly definitionVersion: number;
  readonly references: readonly string[];
  readonly versions: readonly {
    readonly version: number;
    readonly state: string;
    readonly references: readonly string[];
    /** Empty = not known. */
    readonly trainingSet: string;
  }[];
}

export interface TrainingSetLineage {
  readonly hash: string;
  /** Empty = it was asked for by its features. */
  readonly service: string;
  readonly views: readonly { readonly name: string; readonly version: number }[];
}

export interface LineageFacts {
  readonly definitions: ProjectDefinitions;
  readonly models: readonly ModelLineage[];
  /** Of the versions above, those that were built here. */
  readonly trainingSets: ReadonlyMap<string, TrainingSetLineage>;
}

/**
 * From where the values of something come, and who gets them: source -> view -> on-demand view -> feature service -> training set ->
 * model version, feature by feature. @param of `view:feature`, a name, or a name with its kind (`Model fraud`); empty = the whole project.
 * @throws AppError REQUEST_INVALID when there is no such thing, or several
 */
export function lineageOf(facts: LineageFacts, of: string): Lineage {
  const graph = new Graph(facts);
  if (of === '') graph.addAll();
  else if (of.includes(':')) graph.addReferences([of], of);
  else graph.addNamed(of);
  return graph.finish();
}

class Graph {
  readonly #facts: LineageFacts;
  readonly #nodes = new Map<string, LineageNode>();
  readonly #edges = new Map<string, { from: string; to: string; features: Set<string>; readVersion: number }>();
  /** Reference -> those that the expression behind it reads; nothing for what is stored. */
  readonly #inputs = new Map<string, readonly string[]>();

  constructor(facts: LineageFacts) {
    this.#facts = facts;
    for (const transform of facts.definitions.transforms)
      for (const { name } of transform.spec.features) this.#inputs.set(`${transform.name}:${name}`, readReferences(transform, name));
  }

  addAll(): void {
    const { definitions, models } = this.#facts;
    for (const { name } of definitions.views) this.#addView(name);
    for (const reference of this.#inputs.keys()) this.#addUpstream([reference]);
    for (const { name } of definitions.services) this.#addService(name);
    for (const model of models) this.#addModel(model);
  }

  addNamed(of: string): void {
    const { views, transforms, services } = this.#facts.definitions;
    const known: readonly (readonly [LineageKind, readonly string[]])[] = [
      ['FeatureView', views.map(({ name }) => name)],
      ['OnDemandView', transforms.map(({ name }) => name)],
      ['FeatureService', services.map(({ name }) => name)],
      ['Model', this.#facts.models.map(({ model }) => model)],
    ];
    const fitting = known.flatMap(([kind, names]) =>
      names.filter((name) => name === of || `${kind} ${name}` === of).map((name) => ({ kind, name })),
    );
    if (fitting.length === 0)
      throw new AppError(
        'REQUEST_INVALID',
        `nothing is called ${JSON.stringify(of)} here; name a view, \`view:feature\`, a feature service or a model`,
      );
    if (fitting.length > 1)
      throw new AppError(
        'REQUEST_INVALID',
        `${of} is the name of several things; say which: ${fitting.map(({ kind, name }) => `\`${kind} ${name}\``).join(', ')}`,
      );
    const [{ kind, name }] = fitting as [(typeof fitting)[number]];
    if (kind === 'FeatureService') this.#addService(name, true);
    else if (kind === 'Model') this.#addModel(this.#facts.models.find(({ model }) => model === name)!);
    else {
      if (kind === 'FeatureView') this.#addView(name);
      this.addReferences(this.#referencesOf(name), '');
    }
  }

  /** Upstream of the references, and downstream of them and of what is computed from them. @param asked one that must be known. */
  addReferences(references: readonly string[], asked: string): void {
    if (asked !== '' && !this.#referencesOf(splitReference(asked).view).includes(asked))
      throw new AppError('REQUEST_INVALID', `there is no feature ${asked}; search for it`);
    this.#addUpstream(references);
    const computed = [...this.#inputs].flatMap(([reference, inputs]) =>
      inputs.some((input) => references.includes(input)) ? [reference] : [],
    );
    for (const reference of computed) this.#addInputs(reference, references);
    const down = new Set([...references, ...computed]);
    const reach = (read: readonly string[]): string[] => read.filter((reference) => down.has(reference));
    for (const service of this.#facts.definitions.services) {
      const read = reach(referencesOf(service));
      if (read.length > 0) this.#readBy(this.#serviceNode(service.name), read);
    }
    for (const model of this.#facts.models) {
      const read = reach(model.references);
      const versions = model.versions.filter((version) => reach(version.references).length > 0);
      if (read.length === 0 && versions.length === 0) continue;
      const node = this.#modelNode(model);
      this.#readBy(node, read);
      for (const version of versions) this.#addVersion(model, version, reach(version.references), false);
    }
  }

  finish(): Lineage {
    const rank = (kind: LineageKind): number => ORDER.indexOf(kind);
    const nodes = [...this.#nodes.values()].sort((a, b) => rank(a.kind) - rank(b.kind) || compareNames(a, b));
    const edges = [...this.#edges.values()].map(({ features, ...edge }) => ({ ...edge, features: [...features].sort() }));
    const place = new Map(nodes.map(({ id }, i) => [id, i]));
    return { nodes, edges: edges.sort((a, b) => place.get(a.from)! - place.get(b.from)! || place.get(a.to)! - place.get(b.to)!) };
  }

  /** @param isAsked also who was trained through it. */
  #addService(name: string, isAsked = false): void {
    const service = this.#facts.definitions.services.find((one) => one.name === name)!;
    const references = referencesOf(service);
    this.#addUpstream(references);
    this.#readBy(this.#serviceNode(name), references);
    if (!isAsked) return;
    for (const model of this.#facts.models) {
      for (const version of model.versions)
        if (this.#facts.trainingSets.get(version.trainingSet)?.service === name) this.#addVersion(model, version, version.references, true);
    }
  }

  #addModel(model: ModelLineage): void {
    this.#addUpstream(model.references);
    this.#readBy(this.#modelNode(model), model.references);
    for (const version of model.versions) this.#addVersion(model, version, version.references, true);
  }

  /** @param isWhole with all that it was made of, also what brings none of the references. */
  #addVersion(model: ModelLineage, version: ModelLineage['versions'][number], references: readonly string[], isWhole: boolean): void {
    const { state } = version;
    const node = this.#node('ModelVersion', `${model.model}/${version.version}`, { version: version.version, owner: model.owner, state });
    this.#edge(this.#modelNode(model), node, []);
    if (isWhole) this.#addUpstream(references);
    this.#readBy(node, references);
    const set = this.#facts.trainingSets.get(version.trainingSet);
    if (!set) return;
    const setNode = this.#node('TrainingSet', set.hash, {});
    this.#edge(setNode, node, []);
    for (const { name, version: readVersion } of set.views) {
      if (isWhole) this.#addView(name);
      const from = this.#viewId(name);
      if (from !== undefined && this.#nodes.has(from)) this.#edge(from, setNode, [], readVersion);
    }
    if (set.service !== '' && this.#facts.definitions.services.some(({ name }) => name === set.service))
      this.#edge(this.#serviceNode(set.service), setNode, []);
  }

  /** Views, sources and the inputs of what is computed. */
  #addUpstream(references: readonly string[]): void {
    for (const reference of references) {
      this.#addView(splitReference(reference).view);
      const inputs = this.#inputs.get(reference) ?? [];
      for (const input of inputs) this.#addView(splitReference(input).view);
      if (inputs.length > 0) this.#addInputs(reference, inputs);
    }
  }

  #addInputs(reference: string, among: readonly string[]): void {
    this.#addView(splitReference(reference).view);
    const to = this.#viewId(splitReference(reference).view)!;
    for (const input of this.#inputs.get(reference)!.filter((one) => among.includes(one))) this.#readBy(to, [input]);
  }

  #readBy(to: string, references: readonly string[]): void {
    for (const reference of references) {
      const from = this.#viewId(splitReference(reference).view);
      if (from !== undefined && this.#nodes.has(from)) this.#edge(from, to, [reference]);
    }
  }

  #addView(name: string): void {
    const { views, transforms } = this.#facts.definitions;
    const view = views.find((one) => one.name === name);
    if (view) {
      const node = this.#node('FeatureView', name, { version: view.version, owner: view.spec.owner });
      this.#edge(this.#node('Source', sourceText(view), {}), node, []);
    }
    const transform = transforms.find((one) => one.name === name);
    if (transform) this.#node('OnDemandView', name, { version: transform.version, owner: transform.spec.owner });
  }

  #serviceNode(name: string): string {
    const { version, spec, faults } = this.#facts.definitions.services.find((one) => one.name === name)!;
    return this.#node('FeatureService', name, { version, owner: spec.owner, state: faults.length > 0 ? 'broken' : '' });
  }

  #modelNode({ model, definitionVersion: version, owner }: ModelLineage): string {
    return this.#node('Model', model, { version, owner });
  }

  #referencesOf(name: string): string[] {
    const { views, transforms } = this.#facts.definitions;
    const view = views.find((one) => one.name === name);
    if (view) return featureNames(view, undefined)!.map((feature) => `${name}:${feature}`);
    return (transforms.find((one) => one.name === name)?.spec.features ?? []).map((feature) => `${name}:${feature.name}`);
  }

  #viewId(name: string): string | undefined {
    const { views, transforms } = this.#facts.definitions;
    if (views.some((one) => one.name === name)) return `FeatureView ${name}`;
    return transforms.some((one) => one.name === name) ? `OnDemandView ${name}` : undefined;
  }

  #node(kind: LineageKind, name: string, { version = 0, owner = '', state = '' }: Partial<LineageNode>): string {
    const id = `${kind} ${name}`;
    if (!this.#nodes.has(id)) this.#nodes.set(id, { id, kind, name, version, owner, state });
    return id;
  }

  #edge(from: string, to: string, features: readonly string[], readVersion = 0): void {
    const key = `${from} -> ${to}`;
    const edge = this.#edges.get(key) ?? { from, to, features: new Set<string>(), readVersion };
    for (const feature of features) edge.features.add(feature);
    this.#edges.set(key, edge);
  }
}

const ORDER: readonly LineageKind[] = ['Source', 'FeatureView', 'OnDemandView', 'FeatureService', 'TrainingSet', 'Model', 'ModelVersion'];

function compareNames(a: LineageNode, b: LineageNode): number {
  const [model, other] = [a, b].map(({ kind, name, version }) => (kind === 'ModelVersion' ? name.replace(`/${version}`, '') : name));
  if (model !== other) return model! < other! ? -1 : 1;
  return a.version - b.version;
}
