import type { ModelDefinition } from '@headrace/definitions/definition';
import type { Task } from '@headrace/definitions/model-definition';
import { splitReference } from '@headrace/definitions/reference';
import type { Signature } from '@headrace/contracts/registry/v1/registry';
import type { OnnxReport, OnnxTensor } from './onnx-inspection.js';

/** Input of the numeric features: float32 rows in the order of the signature, strings left out. */
const DENSE_INPUT = 'features';
const FLOAT = 1;
const STRING = 8;
/** Output with the answers of a task. */
const SCORES_OUTPUT = { binary_classification: 'probabilities', regression: 'value' } as const satisfies Record<Task, string>;

/** Why serving could not load the version: each fault a plain phrase. Empty = it can. */
export function servabilityFaults(
  spec: ModelDefinition['spec'],
  signature: Signature | undefined,
  onnx: OnnxReport,
  golden: unknown,
): string[] {
  if (!signature) return ['the signature is missing'];
  return [...signatureFaults(spec, signature), ...graphFaults(signature, onnx), ...goldenFaults(spec, signature, golden)];
}

/** A definition that changed while the run was on its way shows here: the signature is then that of another model. */
function signatureFaults(spec: ModelDefinition['spec'], signature: Signature): string[] {
  const faults: string[] = [];
  const got = signature.features.map((f) => f.reference);
  if (!sameList(got, spec.features))
    faults.push(`the signature's features [${got.join(', ')}] are not the definition's [${spec.features.join(', ')}]`);
  const watched = signature.protectedFeatures.map((f) => f.reference);
  if (!sameList(watched, spec.protected))
    faults.push(`the signature's protected attributes [${watched.join(', ')}] are not the definition's [${spec.protected.join(', ')}]`);
  for (const f of [...signature.features, ...signature.protectedFeatures]) {
    if (!['int64', 'float64', 'bool', 'string'].includes(f.type)) faults.push(`${f.name} has the type ${JSON.stringify(f.type)}`);
    if (f.name !== splitReference(f.reference).feature) faults.push(`${f.name} is read from ${f.reference}, whose column has another name`);
  }
  if (signature.entityKeys.length === 0) faults.push('the signature names no entity key');
  const { threshold } = signature;
  if (spec.task === 'regression' ? !Number.isFinite(threshold) : !(threshold >= 0 && threshold <= 1))
    faults.push(`the threshold ${threshold} is not ${spec.task === 'regression' ? 'a number' : 'between 0 and 1'}`);
  const wanted = SCORES_OUTPUT[spec.task];
  if (!signature.outputs.includes(wanted))
    faults.push(`the signature names no output ${wanted}, which a model with the task ${spec.task} answers by`);
  return faults;
}

function graphFaults(signature: Signature, onnx: OnnxReport): string[] {
  const inputs = new Map(onnx.inputs.map((t) => [t.name, t]));
  const outputs = new Set(onnx.outputs.map((t) => t.name));
  const dense = signature.features.filter((f) => f.type !== 'string').length;
  const wanted = new Map(signature.features.filter((f) => f.type === 'string').map((f) => [f.name, { type: STRING, width: 1 }]));
  if (dense > 0) wanted.set(DENSE_INPUT, { type: FLOAT, width: dense });
  const faults = [...wanted].flatMap(([name, { type, width }]) => inputFaults(name, inputs.get(name), type, width));
  for (const name of inputs.keys())
    if (!wanted.has(name)) faults.push(`the graph asks for an input ${name} that the signature does not name`);
  for (const name of signature.outputs) if (!outputs.has(name)) faults.push(`the graph has no output ${name}`);
  return faults;
}

function inputFaults(name: string, tensor: OnnxTensor | undefined, type: number, width: number): string[] {
  if (!tensor) return [`the graph has no input ${name}`];
  if (tensor.elementType !== type) return [`the graph's input ${name} has the element type ${tensor.elementType} instead of ${type}`];
  const [rows, columns] = tensor.shape;
  if (tensor.shape.length !== 2 || rows !== null || (columns !== null && columns !== width)) {
    return [`the graph's input ${name} has the shape [${tensor.shape.map((d) => d ?? '?').join(', ')}] instead of [?, ${width}]`];
  }
  return [];
}

function goldenFaults({ task }: ModelDefinition['spec'], signature: Signature, golden: unknown): string[] {
  const rows = (golden as { rows?: unknown } | undefined)?.rows;
  if (!Array.isArray(rows) || rows.length === 0) return ['there are no golden rows to verify a loaded copy with'];
  const names = signature.features.map((f) => f.name);
  const bad = rows.findIndex((row: unknown) => !isGoldenRow(row, names, task));
  return bad === -1
    ? []
    : [`golden row ${bad} does not hold ${task === 'regression' ? 'a value' : 'a probability'} and one value (or null) for each feature`];
}

function isGoldenRow(row: unknown, names: readonly string[], task: Task): boolean {
  if (row === null || typeof row !== 'object') return false;
  const { features, probability, value } = row as { features?: unknown; probability?: unknown; value?: unknown };
  const answer = task === 'regression' ? value : probability;
  if (typeof answer !== 'number' || !Number.isFinite(answer)) return false;
  if (task === 'binary_classification' && (answer < 0 || answer > 1)) return false;
  return features !== null && typeof features === 'object' && names.every((name) => Object.hasOwn(features, name));
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i]);
}
