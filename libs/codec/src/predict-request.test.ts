import { PredictRequest, priorityFromJSON, priorityToNumber, type NamedColumn } from '@headrace/contracts/serving/v1/serving';
import { AppError } from '@headrace/base/errors';
import { seededRandom } from '@headrace/base/random';
import { describe, expect, it } from 'vitest';
import { encodePredictRequest, PredictRequestView } from './predict-request.js';
import { ProtoWriter } from './writer.js';
import { ShortBytes } from './short-bytes.js';

const view = new PredictRequestView();

/** Everything that the view can say, as ts-proto's object. */
function viaView(bytes: Uint8Array, start = 0, end = bytes.length): PredictRequest {
  view.read(bytes, start, end);
  const dense = new Float32Array(view.denseCount);
  view.copyDense(dense, 0);
  const columns = view.readColumns().map((c) => ({ name: c.name, floats: [...c.floats], ints: [...c.ints], strings: [...c.strings] }));
  const entities = view.readEntities();
  const outputs = view.readOutputs();
  expect([columns.length, entities.length, outputs.length]).toEqual([view.columnCount, view.entityCount, view.outputCount]);
  return {
    project: view.project,
    model: view.model,
    version: view.version,
    dense: [...dense],
    columns,
    entities,
    predictionId: idOf(view),
    priority: priorityFromJSON(view.priority),
    outputs,
  };
}

function randomRequest(random: () => number): PredictRequest {
  const some = <T>(most: number, make: () => T): T[] => Array.from({ length: random() < 0.3 ? 0 : Math.floor(random() * most) }, make);
  const float = (): number => (random() < 0.05 ? Number.NaN : Math.fround((random() - 0.5) * 1e6));
  const text = (): string =>
    random() < 0.2 ? '' : String.fromCodePoint(...some(20, () => (random() < 0.1 ? 0x1f600 : 32 + Math.floor(random() * 600))));
  const int = (): number => Math.floor((random() - 0.5) * 2 ** (1 + Math.floor(random() * 53)));
  const column = (): NamedColumn => ({ name: text(), floats: some(40, float), ints: some(10, int), strings: some(5, text) });
  return {
    project: text(),
    model: text(),
    version: Math.floor(random() * 2 ** 32),
    dense: some(100, float),
    columns: some(4, column),
    entities: some(6, text),
    predictionId: text(),
    priority: priorityFromJSON(Math.floor(random() * 3)),
    outputs: some(3, text),
  };
}

function refused(act: () => unknown): boolean {
  try {
    act();
    return false;
  } catch (error) {
    expect(error).toBeInstanceOf(AppError);
    expect((error as AppError).code).toBe('REQUEST_INVALID');
    return true;
  }
}

describe('predict request codec', () => {
  it('reads what ts-proto writes, anywhere inside a larger buffer (seeded)', () => {
    const random = seededRandom(1);
    for (let i = 0; i < 500; i++) {
      const request = randomRequest(random);
      const bytes = PredictRequest.encode(request).finish();
      const padded = new Uint8Array(bytes.length + 17).fill(0xff);
      padded.set(bytes, 9);
      expect(viaView(padded, 9, 9 + bytes.length)).toEqual(request);
    }
  });

  it('writes what ts-proto reads and writes, byte by byte (seeded)', () => {
    const random = seededRandom(2);
    const writer = new ProtoWriter(16);
    for (let i = 0; i < 500; i++) {
      const request = randomRequest(random);
      const columns = request.columns.map((c) => ({ ...c, floats: Float32Array.from(c.floats) }));
      const priority = priorityToNumber(request.priority);
      encodePredictRequest({ ...request, priority, dense: Float32Array.from(request.dense), columns }, writer.reset());
      const bytes = writer.finish();
      expect(PredictRequest.decode(bytes)).toEqual(request);
      expect(Buffer.from(bytes).equals(PredictRequest.encode(request).finish())).toBe(true);
    }
  });

  it('adds up pieces of dense floats, packed or not, in their order; the last of a single field wins', () => {
    const one = Buffer.from(PredictRequest.encode(PredictRequest.fromPartial({ dense: [1, 2], model: 'a' })).finish());
    const lone = Buffer.from([0x25, 0, 0, 0x40, 0x40]);
    const bytes = Buffer.concat([lone, one, Buffer.from([0x22, 0]), one, lone, Buffer.from([0x12, 1, 0x62])]);
    expect(viaView(bytes)).toEqual(PredictRequest.decode(bytes));
    expect(viaView(bytes).dense).toEqual([3, 1, 2, 1, 2, 3]);
    expect(viaView(Buffer.concat([lone])).dense).toEqual([3]);
    expect(viaView(bytes).model).toBe('b');
  });

  it('skips fields that it does not know, groups too', () => {
    const known = Buffer.from(PredictRequest.encode(PredictRequest.fromPartial({ model: 'm', dense: [5] })).finish());
    const unknown = Buffer.from([
      0xfa, 0x01, 2, 1, 2, 0xf8, 0x01, 0x96, 0x01, 0x7d, 1, 2, 3, 4, 0x79, 1, 2, 3, 4, 5, 6, 7, 8, 0x7b, 0x08, 1, 0x7c,
    ]);
    expect(viaView(Buffer.concat([unknown, known, unknown]))).toMatchObject({ model: 'm', dense: [5] });
  });

  it('refuses a message cut at any byte inside a field, and never reads past its end', () => {
    const request = randomRequest(seededRandom(77));
    const bytes = PredictRequest.encode({ ...request, columns: [{ name: 'c', floats: [1, 2], ints: [-1, 300], strings: ['ä'] }] }).finish();
    let cuts = 0;
    for (let end = 0; end < bytes.length; end++) {
      // Behind the cut lie bytes that look like more of the message.
      const isRefused = refused(() => viaView(bytes, 0, end));
      if (isRefused) cuts++;
      else expect(viaView(bytes, 0, end)).toEqual(PredictRequest.decode(bytes.subarray(0, end)));
    }
    expect(cuts).toBeGreaterThan(bytes.length / 2);
  });

  it.each([
    ['a length beyond the message', [0x12, 0x7f, 0x61]],
    ['a length of 4 GiB', [0x22, 0xff, 0xff, 0xff, 0xff, 0x0f]],
    ['a length of 2^64', [0x22, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]],
    ['a varint of eleven bytes', [0x18, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01]],
    ['floats of seven bytes', [0x22, 7, 0, 0, 0, 0, 0, 0, 0]],
    ['column floats of seven bytes', [0x2a, 9, 0x12, 7, 0, 0, 0, 0, 0, 0, 0]],
    ['a column longer than its field', [0x2a, 2, 0x12, 7, 0, 0, 0, 0, 0, 0, 0]],
    ['an integer beyond 2^53', [0x2a, 11, 0x18, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01]],
    ['text that is not UTF-8', [0x12, 2, 0xc3, 0x28]],
    ['an entity that is not UTF-8', [0x32, 2, 0xff, 0xff]],
    ['field number 0', [0x02, 0]],
    ['a group that does not end', [0x7b, 0x08, 1]],
    ['groups nested 200 deep', [...new Array<number>(200).fill(0x7b), ...new Array<number>(200).fill(0x7c)]],
  ])('refuses %s', (_name, bytes) => {
    expect(refused(() => viaView(Uint8Array.from(bytes)))).toBe(true);
  });

  it('takes 200,000 lone column floats in one pass, not by copying each time', () => {
    const lone = Buffer.alloc(5 * 200_000);
    for (let i = 0; i < lone.length; i += 5) lone[i] = 0x15;
    const length = Buffer.from([0x2a, 0xc0, 0x84, 0x3d]);
    const started = performance.now();
    view.read(Buffer.concat([length, lone]));
    expect(view.readColumns()[0]!.floats.length).toBe(200_000);
    expect(performance.now() - started).toBeLessThan(2000);
  });

  it('survives random bytes: refused, or read as ts-proto reads them (seeded)', () => {
    const random = seededRandom(5);
    for (let i = 0; i < 3000; i++) {
      const bytes = PredictRequest.encode(randomRequest(random)).finish();
      for (let flips = 0; flips < 3; flips++) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
      refused(() => viaView(bytes));
    }
  });
});

/** By both ways to read it. */
function idOf(view: PredictRequestView): string {
  const text = ShortBytes.ofText('of the request before');
  view.copyPredictionId(text);
  expect(text.toString()).toBe(view.predictionId);
  return view.predictionId;
}
