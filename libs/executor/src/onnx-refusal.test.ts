import { ProtoWriter } from '@headrace/codec/writer';
import { describe, expect, it } from 'vitest';
import { refuseOnnx } from './onnx-refusal.js';

type Part = readonly [field: number, content: string | number | readonly Part[]];

function message(parts: readonly Part[]): Uint8Array {
  const writer = new ProtoWriter();
  for (const [field, content] of parts) {
    writer.tag(field, typeof content === 'number' ? 0 : 2);
    if (typeof content === 'number') writer.uint32(content);
    else writer.delimited(typeof content === 'string' ? Buffer.from(content) : message(content));
  }
  return writer.finish();
}

const external: Part[] = [
  [8, 'w'],
  [
    13,
    [
      [1, 'location'],
      [2, '../secret.bin'],
    ],
  ],
];
const node = (...parts: Part[]): Part => [1, [[4, 'MatMul'], ...parts]];
const graph = (...parts: Part[]): Uint8Array => message([[7, parts]]);
const nested = (depth: number): Part => node([5, [[6, [depth === 0 ? node() : nested(depth - 1)]]]]);

describe('ONNX refusal', () => {
  it('lets a self-contained graph of standard operators pass', () => {
    expect(
      refuseOnnx(
        graph(node(), node([7, 'ai.onnx.ml']), [
          5,
          [
            [8, 'w'],
            [14, 0],
          ],
        ]),
      ),
    ).toBeUndefined();
  });

  it.each([
    ['external weights', graph([5, external]), /external data/],
    ['a data location alone', graph([5, [[14, 1]]]), /external data/],
    ['external data in a constant of a nested graph', graph(node([5, [[6, [node([5, [[5, external]]])]]]])), /external data/],
    ['external data in a sparse weight', graph([15, [[1, external]]]), /external data/],
    ['foreign operators', graph(node([7, 'com.evil'])), /foreign domain "com.evil"/],
    [
      'foreign operators in a function',
      message([
        [7, []],
        [25, [[7, [[7, 'com.evil']]]]],
      ]),
      /com.evil/,
    ],
    [
      'a training graph',
      message([
        [20, []],
        [7, []],
      ]),
      /training graph/,
    ],
    ['no graph', message([[1, 8]]), /0 graphs/],
    ['a text', Buffer.from('not a model at all'), /not an ONNX file/],
    ['a cut file', graph(node(), [5, [[8, 'weights']]]).subarray(0, 12), /not an ONNX file/],
    ['graphs nested without end', graph(nested(60)), /not an ONNX file.*nesting/],
  ])('refuses %s', (_name, bytes, reason) => {
    expect(refuseOnnx(bytes)).toMatch(reason);
  });
});
