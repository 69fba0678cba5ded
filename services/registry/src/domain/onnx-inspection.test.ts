import { describe, expect, it } from 'vitest';
import { inspectOnnx } from './onnx-inspection.js';

/** Just enough of a protobuf writer to forge models. */
const varint = (n: number): number[] => (n < 128 ? [n] : [(n % 128) | 128, ...varint(Math.floor(n / 128))]);
const part = (field: number, ...content: (number[] | string)[]): number[] => {
  const bytes = content.flatMap((c) => (typeof c === 'string' ? [...Buffer.from(c)] : c));
  return [...varint(field * 8 + 2), ...varint(bytes.length), ...bytes];
};
const whole = (field: number, value: number): number[] => [...varint(field * 8), ...varint(value)];

const tensorInfo = (name: string, type: number, ...dims: (number | string)[]): number[][] => [
  part(1, name),
  part(2, part(1, whole(1, type), part(2, ...dims.map((d) => part(1, typeof d === 'number' ? whole(1, d) : part(2, d)))))),
];
const node = (op: string, domain = '', ...rest: number[][]): number[] =>
  part(1, part(4, op), ...(domain ? [part(7, domain)] : []), ...rest);
const graph = (...parts: number[][]): number[] =>
  part(7, part(2, 'g'), part(11, ...tensorInfo('features', 1, 'N', 3)), part(12, ...tensorInfo('label', 7, 'N')), ...parts);
const model = (...parts: number[][]): Uint8Array => Uint8Array.from([whole(1, 8), ...parts].flat());
const external = part(14 - 1, part(1, 'location'), part(2, '../../etc/passwd'));

describe('ONNX inspection', () => {
  it('reads inputs, outputs and nodes of a plain model, leaving initialisers out of the inputs', () => {
    const weights = part(5, whole(1, 3), part(8, 'w'), part(9, [0, 0, 0, 0]));
    const report = inspectOnnx(
      model(graph(node('MatMul'), node('TreeEnsembleRegressor', 'ai.onnx.ml'), weights, part(11, ...tensorInfo('w', 1, 3)))),
    );
    expect(report).toEqual({
      inputs: [{ name: 'features', elementType: 1, shape: [null, 3] }],
      outputs: [{ name: 'label', elementType: 7, shape: [null] }],
      nodes: 2,
      faults: [],
    });
  });

  it.each<[string, Uint8Array, RegExp]>([
    ['external data in an initialiser', model(graph(node('Add'), part(5, external))), /external data/],
    ['a data location without entries', model(graph(node('Add'), part(5, whole(14, 1)))), /external data/],
    ['external data in a sparse initialiser', model(graph(node('Add'), part(15, part(1, external)))), /external data/],
    ['external data in a constant node', model(graph(node('Constant', '', part(5, part(5, external))))), /external data/],
    [
      'external data two graphs deep',
      model(graph(node('If', '', part(5, part(6, node('If', '', part(5, part(11, part(5, external))))))))),
      /external data/,
    ],
    ['a foreign operator', model(graph(node('Run', 'com.evil'))), /operator Run comes from the foreign domain "com.evil"/],
    ['a foreign operator inside a branch', model(graph(node('If', '', part(5, part(6, node('Run', 'com.evil')))))), /com\.evil/],
    [
      'a foreign operator inside a function',
      model(graph(node('Add')), part(25, part(7, part(4, 'Run'), part(7, 'com.evil')))),
      /com\.evil/,
    ],
    ['a training graph', model(graph(node('Add')), part(20)), /training graph/],
    ['no graph', model(), /0 graphs/],
    ['two graphs', model(graph(node('Add')), graph(node('Add'))), /2 graphs/],
    ['an empty graph', model(graph()), /no node/],
    ['a text', Buffer.from('this is not a model, whatever its name says'), /not an ONNX file/],
    ['a truncated model', model(graph(node('Add'))).subarray(0, 20), /not an ONNX file/],
    ['a length beyond the end', Uint8Array.from([0x3a, 0xff, 0xff, 0xff, 0x0f, 1]), /not an ONNX file/],
    ['an endless varint', new Uint8Array(30).fill(0xff), /not an ONNX file/],
  ])('refuses %s and says so', (_name, bytes, fault) => {
    expect(inspectOnnx(bytes).faults.join('; ')).toMatch(fault);
  });

  it('stops at graphs nested past every sane depth instead of overflowing the stack', () => {
    let inner = node('Add');
    for (let i = 0; i < 200; i++) inner = node('If', '', part(5, part(6, inner)));
    expect(inspectOnnx(model(graph(inner))).faults.join()).toMatch(/nested deeper/);
  });

  it('answers any flip of a byte with a report, never with a throw', () => {
    const plain = model(graph(node('MatMul'), node('Add'), part(5, part(8, 'w'))));
    for (let at = 0; at < plain.length; at++) {
      for (const bit of [1, 2, 8, 128]) {
        const forged = Uint8Array.from(plain);
        forged[at]! ^= bit;
        expect(Array.isArray(inspectOnnx(forged).faults)).toBe(true);
      }
    }
  });
});
