import { PredictResponse } from '@headrace/contracts/serving/v1/serving';
import { AppError } from '@headrace/base/errors';
import { seededRandom } from '@headrace/base/random';
import { describe, expect, it } from 'vitest';
import { decodePredictResponse, encodeAnswerer, encodePredictResponse, type PredictResponseFields } from './predict-response.js';
import type { OutputColumnData } from './predict-output.js';
import { ProtoWriter } from './writer.js';
import { ShortBytes } from './short-bytes.js';

interface Made extends PredictResponseFields {
  readonly model: string;
  readonly version: number;
  readonly arm: string;
}

function randomFields(random: () => number): Made {
  const rows = Math.floor(random() * 40);
  const firstScore = Math.floor(random() * 5);
  const isLookup = random() < 0.5;
  const who = {
    model: random() < 0.1 ? '' : 'm',
    version: random() < 0.1 ? 0 : Math.floor(random() * 2 ** 32),
    arm: random() < 0.1 ? '' : 'champion',
  };
  return {
    ...who,
    answerer: encodeAnswerer(who),
    predictionId: ShortBytes.ofText(random() < 0.2 ? '' : 'préd'),
    rows,
    firstScore,
    scores: Float32Array.from({ length: firstScore + rows }, random),
    threshold: 0.5,
    featureTimes: isLookup ? Float64Array.from({ length: rows }, () => (random() < 0.2 ? 0 : Math.floor(random() * 2e12))) : undefined,
    stale: isLookup ? Uint8Array.from({ length: rows }, () => (random() < 0.5 ? 1 : 0)) : undefined,
    outputs: rows > 0 && random() < 0.5 ? Array.from({ length: Math.floor(random() * 4) }, () => randomOutput(random, rows)) : undefined,
  };
}

function randomOutput(random: () => number, rows: number): OutputColumnData {
  const list = Math.floor(random() * 4);
  const some = <T>(at: number, make: () => T): T[] => Array.from({ length: list === at ? rows * 2 : 0 }, make);
  return {
    name: random() < 0.1 ? '' : 'ausgäng',
    shape: random() < 0.5 ? [] : [2, 300],
    floats: Float32Array.from(some(0, () => random() - 0.5)),
    doubles: Float64Array.from(some(1, () => random() - 0.5)),
    ints: BigInt64Array.from(some(2, () => BigInt(Math.floor((random() - 0.5) * 2 ** (1 + Math.floor(random() * 53)))))),
    strings: some(3, () => (random() < 0.3 ? '' : 'Zürich')),
  };
}

const plain = ({ name, shape, floats, doubles, ints, strings }: OutputColumnData) => ({
  name,
  shape: [...shape],
  floats: Array.from(floats),
  doubles: Array.from(doubles),
  ints: Array.from(ints, Number),
  strings: [...strings],
});

function asMessage(fields: Made): PredictResponse {
  const scores = [...fields.scores.subarray(fields.firstScore, fields.firstScore + fields.rows)];
  const { model, version, arm, predictionId } = fields;
  return {
    model,
    version,
    arm,
    predictionId: predictionId.toString(),
    scores,
    labels: scores.map((s) => (s >= 0.5 ? 1 : 0)),
    featureTimes: [...(fields.featureTimes ?? [])],
    stale: [...(fields.stale ?? [])].map(Boolean),
    error: undefined,
    outputs: (fields.outputs ?? []).map(plain),
  };
}

describe('predict response codec', () => {
  it('writes the bytes of ts-proto, and reads them back (seeded)', () => {
    const random = seededRandom(11);
    const writer = new ProtoWriter(8);
    for (let i = 0; i < 400; i++) {
      const fields = randomFields(random);
      encodePredictResponse(fields, writer.reset());
      const bytes = writer.finish();
      const message = asMessage(fields);
      expect(PredictResponse.decode(bytes)).toEqual(message);
      expect(Buffer.from(bytes).equals(PredictResponse.encode(message).finish())).toBe(true);
      const back = decodePredictResponse(bytes);
      expect({ ...back, scores: [...back.scores], error: undefined }).toEqual(message);
    }
  });

  it('reads lists that were not packed', () => {
    const bytes = Uint8Array.from([0x28, 1, 0x28, 0, 0x35, 0, 0, 0x80, 0x3f, 0x35, 0, 0, 0, 0, 0x38, 5, 0x40, 1]);
    const back = decodePredictResponse(bytes);
    expect({ ...back, scores: [...back.scores], error: undefined }).toEqual(PredictResponse.decode(bytes));
  });

  it('refuses a cut at any byte that ends inside a field', () => {
    const writer = new ProtoWriter();
    encodePredictResponse(randomFields(seededRandom(4)), writer);
    const bytes = writer.finish();
    for (let end = 0; end < bytes.length; end++) {
      try {
        const back = decodePredictResponse(bytes, 0, end);
        expect({ ...back, scores: [...back.scores], error: undefined }).toEqual(PredictResponse.decode(bytes.subarray(0, end)));
      } catch (error) {
        expect((error as AppError).code).toBe('REQUEST_INVALID');
      }
    }
  });

  it.each([
    ['hostile length', [0x32, 0xff, 0xff, 0xff, 0xff, 0x07]],
    ['labels without scores', [0x2a, 2, 1, 0]],
    ['deep groups', [...new Array<number>(150).fill(0x7b)]],
  ])('refuses %s', (_name, bytes) => {
    expect(() => decodePredictResponse(Uint8Array.from(bytes))).toThrow(AppError);
  });
});
