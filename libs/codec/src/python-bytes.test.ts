import { describe, expect, it } from 'vitest';
import { encodeFeatureRows, FeatureRowsDecoder } from './feature-rows.js';
import { encodePredictRequest, PredictRequestView } from './predict-request.js';
import { decodePredictResponse, encodeAnswerer, encodePredictResponse } from './predict-response.js';
import { decodePredictionsLogged, encodePredictionsLogged, type PredictionBatch } from './predictions-logged.js';
import { TextList } from './text-list.js';
import { ProtoWriter } from './writer.js';
import { ShortBytes } from './short-bytes.js';

/** From Python's protobuf 6.33.6 with the descriptors of `buf build`, deterministic: extremes of each list, NaN, umlauts, empty texts. */
const REQUEST =
  '0a077ac3bc7269636812016d18ffffffff0f220c0000c03f000080ff0000c07f2a0d0a0161120800000080ffff7f7f2a210a01621a1cffffffffffffffffff01ffffffffffffff0f' +
  '81808080808080f0ff012a0d0a016322002206e697a5e69cac3203657c3132003a03702d3140024a046c6561664a04c3a4c3b6';
const RESPONSE =
  '0a016d10071a0663616e6172792203702d312a02010032080000403f0000803e3a0780d095ffbc31004202000152210a046c656166120302ac022a14ffffffffffffffffff01' +
  '00ffffffffffffff0f0352150a016422109a9999999999b93f000000000000008052090a017432003202c3bc';
const LOGGED =
  '0a0764656661756c7412016d1803220663616e6172792a03702f302a03702f31320cfbd095ffbc31fcd095ffbc313a080000803e0000403f420200014a0d0a01' +
  '6112080000c03f0000c07f4a150a04636974791a001a07c581c3b364c5ba22020100520052075ac3bc726963685a020001620b08808080808020100720016a01' +
  '697200722030616637363531393136636434336464383434386562323131633830333139637a0c0a04626f726e12046f6d69747a180a03736578120468617368' +
  '1a096b4a30785f2d6142331a0082010468617368';
const ROWS =
  '0a01701206706572736f6e1a770a0f0a09706572736f6e5f696412023432120c08808397b4051080cab5ee011a560a110a044147455012091100000000000047400a0a0a046e6f7465' +
  '120208000a080a026f6b120220010a130a067374c3a4647412091a075ac3bc726963680a160a01771211320f0a0911000000000000f8bf0a021a00';

const bytesOf = (hex: string): Uint8Array => Buffer.from(hex, 'hex');
const hexOf = (write: (writer: ProtoWriter) => void): string => {
  const writer = new ProtoWriter(4);
  write(writer);
  return Buffer.from(writer.finish()).toString('hex');
};
const HIGHEST = 2 ** 53 - 1;

describe("Python's protobuf", () => {
  it('writes a PredictRequest as we do, and we read it', () => {
    const fields = {
      project: 'zürich',
      model: 'm',
      version: 2 ** 32 - 1,
      dense: Float32Array.of(1.5, -Infinity, NaN),
      columns: [
        { name: 'a', floats: Float32Array.of(-0, 3.4028234663852886e38) },
        { name: 'b', ints: [-1, HIGHEST, -HIGHEST] },
        { name: 'c', strings: ['', '日本'] },
      ],
      entities: ['e|1', ''],
      predictionId: 'p-1',
      priority: 2,
      outputs: ['leaf', 'äö'],
    };
    expect(hexOf((writer) => encodePredictRequest(fields, writer))).toBe(REQUEST);
    const view = new PredictRequestView().read(bytesOf(REQUEST), 0, REQUEST.length / 2);
    const dense = new Float32Array(view.denseCount);
    view.copyDense(dense, 0);
    const { project, model, version, predictionId, priority } = view;
    const single = { project, model, version, predictionId, priority };
    expect({ ...single, dense, entities: view.readEntities(), outputs: view.readOutputs() }).toEqual({ ...fields, columns: undefined });
    expect(view.readColumns().map(({ name, floats, ints, strings }) => [name, [...floats], [...ints], [...strings]])).toEqual([
      ['a', [-0, 3.4028234663852886e38], [], []],
      ['b', [], [-1, HIGHEST, -HIGHEST], []],
      ['c', [], [], ['', '日本']],
    ]);
  });

  it('writes a PredictResponse as we do, and we read it', () => {
    const none = { shape: [], floats: new Float32Array(), doubles: new Float64Array(), ints: new BigInt64Array(), strings: [] };
    const fields = {
      answerer: encodeAnswerer({ model: 'm', version: 7, arm: 'canary' }),
      predictionId: ShortBytes.ofText('p-1'),
      rows: 2,
      firstScore: 1,
      scores: Float32Array.of(9, 0.75, 0.25),
      threshold: 0.5,
      featureTimes: Float64Array.of(1.7e12, 0),
      stale: Uint8Array.of(0, 1),
      outputs: [
        { ...none, name: 'leaf', shape: [2, 300], ints: BigInt64Array.of(-1n, 0n, BigInt(HIGHEST), 3n) },
        { ...none, name: 'd', doubles: Float64Array.of(0.1, -0) },
        { ...none, name: 't', strings: ['', 'ü'] },
      ],
    };
    expect(hexOf((writer) => encodePredictResponse(fields, writer))).toBe(RESPONSE);
    const read = decodePredictResponse(bytesOf(RESPONSE));
    expect([read.model, read.version, read.arm, read.predictionId]).toEqual(['m', 7, 'canary', 'p-1']);
    expect([read.scores, read.labels, read.featureTimes, read.stale].map((list) => Array.from(list, Number))).toEqual([
      [0.75, 0.25],
      [1, 0],
      [1.7e12, 0],
      [0, 1],
    ]);
    expect(
      read.outputs.map(({ name, shape, ints, doubles, strings }) => [name, shape, Array.from(ints, Number), Array.from(doubles), strings]),
    ).toEqual([
      ['leaf', [2, 300], [-1, 0, HIGHEST, 3], [], []],
      ['d', [], [], [0.1, -0], []],
      ['t', [], [], [], ['', 'ü']],
    ]);
  });

  it('writes a batch of the prediction log as we do, and we read it', () => {
    const traces = ['', '0af7651916cd43dd8448eb211c80319c'];
    const head = { project: 'default', model: 'm', version: 3, arm: 'canary', instance: 'i' };
    const account = { answered: 2 ** 40, logged: 7, sampledOut: 0, dropped: 1 };
    const batch: PredictionBatch = {
      ...head,
      rows: 2,
      predictionIds: TextList.of(5, ['p/0', 'p/1']),
      predictedAtMs: Float64Array.of(1_700_000_000_123, 1_700_000_000_124),
      scores: Float32Array.of(0.25, 0.75),
      labels: Uint8Array.of(0, 1),
      columns: [
        { name: 'a', kind: 'numbers', values: Float32Array.of(9, 1.5, NaN), first: 1 },
        { name: 'city', kind: 'texts', values: TextList.of(3, ['', 'Łódź']), missing: Uint8Array.of(1, 0) },
      ],
      entities: TextList.of(10, ['', 'Zürich']),
      stale: Uint8Array.of(0, 1),
      traceIds: TextList.of(14, traces),
      account,
      redacted: [
        { name: 'born', redaction: 'omit', tokens: undefined },
        { name: 'sex', redaction: 'hash', tokens: TextList.of(3, ['kJ0x_-aB3', '']) },
      ],
      entityRedaction: 'hash',
    };
    expect(hexOf((writer) => encodePredictionsLogged(batch, writer))).toBe(LOGGED);
    const { columns, ...read } = decodePredictionsLogged(bytesOf(LOGGED));
    expect(read).toEqual({
      ...head,
      predictionIds: ['p/0', 'p/1'],
      predictedAtMs: [1_700_000_000_123, 1_700_000_000_124],
      scores: [0.25, 0.75],
      labels: [0, 1],
      entities: ['', 'Zürich'],
      stale: [false, true],
      traceIds: traces,
      account,
      redacted: [
        { name: 'born', redaction: 'omit', tokens: [] },
        { name: 'sex', redaction: 'hash', tokens: ['kJ0x_-aB3', ''] },
      ],
      entityRedaction: 'hash',
    });
    expect(columns.map(({ name, numbers, texts, missing }) => [name, [...numbers], texts, missing])).toEqual([
      ['a', [1.5, NaN], [], []],
      ['city', [], ['', 'Łódź'], [true, false]],
    ]);
  });

  it('writes rows of features as we do, and we read them', () => {
    const message = {
      project: 'p',
      view: 'person',
      rows: [
        {
          entity: { person_id: '42' },
          eventTime: new Date('2016-01-01T00:00:00.500Z'),
          values: { AGEP: 46, note: null, ok: true, städt: 'Zürich', w: [-1.5, ''] },
        },
      ],
    };
    expect(hexOf((writer) => encodeFeatureRows(message, writer))).toBe(ROWS);
    const { project, view, rows } = new FeatureRowsDecoder().decode(bytesOf(ROWS));
    expect({ project, view, rows: rows.map(({ entity, eventTime, values }) => ({ entity, eventTime, values })) }).toEqual(message);
  });
});
