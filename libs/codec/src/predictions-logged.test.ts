import { PredictionsLogged, type LoggedColumn } from '@headrace/contracts/events/v1/events';
import { AppError } from '@headrace/base/errors';
import { seededRandom } from '@headrace/base/random';
import { describe, expect, it } from 'vitest';
import { decodePredictionsLogged, encodePredictionsLogged, type PredictionBatch } from './predictions-logged.js';
import { ProtoWriter } from './writer.js';

/** From Python's protobuf: every field of the message, an omitted column and one of tokens. */
const PYTHON_BATCH =
  '0a0764656661756c7412016d1803220663616e6172792a03702f302a03702f31320cfbd095ffbc31fcd095ffbc313a080000803e0000403f420200014a0d0a01' +
  '6112080000c03f0000c07f4a150a04636974791a001a07c581c3b364c5ba22020100520052075ac3bc726963685a020001620b08808080808020100720016a01' +
  '697200722030616637363531393136636434336464383434386562323131633830333139637a0c0a04626f726e12046f6d69747a180a03736578120468617368' +
  '1a096b4a30785f2d6142331a0082010468617368';

/** A batch as serving holds it: features row-major with some room behind the last row. */
function randomBatch(random: () => number): PredictionBatch {
  const rows = Math.floor(random() * 30);
  const width = 1 + Math.floor(random() * 5);
  const matrix = Float32Array.from({ length: (rows + 3) * width }, () => (random() < 0.1 ? Number.NaN : Math.fround(random() * 100)));
  const texts = (): string[] => Array.from({ length: rows }, () => (random() < 0.3 ? '' : `t${Math.floor(random() * 9)}é`));
  const has = (): boolean => random() < 0.5;
  return {
    project: 'default',
    model: 'm',
    version: Math.floor(random() * 9),
    arm: 'champion',
    instance: has() ? 'i' : '',
    rows,
    predictionIds: Array.from({ length: rows }, (_, i) => `id/${i}`),
    predictedAtMs: Float64Array.from({ length: rows }, () => 1.7e12 + Math.floor(random() * 1e6)),
    scores: Float32Array.from({ length: rows + 2 }, random),
    labels: Uint8Array.from({ length: rows + 2 }, () => (random() < 0.5 ? 1 : 0)),
    columns: [
      ...Array.from({ length: width }, (_, first) => ({
        name: `f${first}`,
        kind: 'numbers' as const,
        values: matrix,
        first,
        stride: width,
      })),
      { name: 'text', kind: 'texts', values: texts() },
    ],
    entities: has() ? texts() : undefined,
    stale: has() ? Uint8Array.from({ length: rows }, () => (random() < 0.5 ? 1 : 0)) : undefined,
    traceIds: has() ? texts() : undefined,
    account: { answered: Math.floor(random() * 2 ** 40), logged: 7, sampledOut: 0, dropped: Math.floor(random() * 3) },
    redacted: [
      ...(has() ? [{ name: 'born', redaction: 'omit', tokens: [] }] : []),
      ...(has() ? [{ name: 'sex', redaction: 'hash', tokens: texts() }] : []),
    ],
    entityRedaction: has() ? 'hash' : '',
  };
}

function asMessage(batch: PredictionBatch): PredictionsLogged {
  const range = Array.from({ length: batch.rows }, (_, i) => i);
  const columns = batch.columns.map((column): LoggedColumn =>
    column.kind === 'numbers'
      ? { name: column.name, numbers: range.map((i) => column.values[column.first + i * column.stride]!), texts: [], missing: [] }
      : { name: column.name, numbers: [], texts: [...column.values], missing: column.values.map((t) => t === '') },
  );
  return {
    project: batch.project,
    model: batch.model,
    version: batch.version,
    arm: batch.arm,
    instance: batch.instance,
    predictionIds: [...batch.predictionIds],
    predictedAtMs: [...batch.predictedAtMs],
    scores: [...batch.scores.subarray(0, batch.rows)],
    labels: [...batch.labels.subarray(0, batch.rows)],
    columns,
    entities: [...(batch.entities ?? [])],
    stale: [...(batch.stale ?? [])].map(Boolean),
    traceIds: [...(batch.traceIds ?? [])],
    account: { ...batch.account },
    redacted: batch.redacted.map((column) => ({ ...column, tokens: [...column.tokens] })),
    entityRedaction: batch.entityRedaction,
  };
}

const plain = (data: ReturnType<typeof decodePredictionsLogged>): unknown => ({
  ...data,
  columns: data.columns.map((c) => ({ ...c, numbers: [...c.numbers] })),
});

describe('prediction log codec', () => {
  it('writes the bytes of ts-proto from strided buffers, and reads them back (seeded)', () => {
    const random = seededRandom(21);
    const writer = new ProtoWriter(8);
    for (let i = 0; i < 300; i++) {
      const batch = randomBatch(random);
      encodePredictionsLogged(batch, writer.reset());
      const bytes = writer.finish();
      const message = asMessage(batch);
      expect(PredictionsLogged.decode(bytes)).toEqual(message);
      expect(Buffer.from(bytes).equals(PredictionsLogged.encode(message).finish())).toBe(true);
      expect(plain(decodePredictionsLogged(bytes))).toEqual(message);
    }
  });

  it("writes the golden bytes of Python's protobuf, and reads them", () => {
    const batch: PredictionBatch = {
      ...{ project: 'default', model: 'm', version: 3, arm: 'canary', instance: 'i', rows: 2, predictionIds: ['p/0', 'p/1'] },
      ...{ predictedAtMs: Float64Array.of(1_700_000_000_123, 1_700_000_000_124), scores: Float32Array.of(0.25, 0.75) },
      ...{ labels: Uint8Array.of(0, 1), entities: ['', 'Zürich'], stale: Uint8Array.of(0, 1) },
      columns: [
        { name: 'a', kind: 'numbers', values: Float32Array.of(9, 1.5, 9, Number.NaN), first: 1, stride: 2 },
        { name: 'city', kind: 'texts', values: ['', 'Łódź'] },
      ],
      traceIds: ['', '0af7651916cd43dd8448eb211c80319c'],
      account: { answered: 2 ** 40, logged: 7, sampledOut: 0, dropped: 1 },
      redacted: [
        { name: 'born', redaction: 'omit', tokens: [] },
        { name: 'sex', redaction: 'hash', tokens: ['kJ0x_-aB3', ''] },
      ],
      entityRedaction: 'hash',
    };
    const writer = new ProtoWriter();
    encodePredictionsLogged(batch, writer);
    expect(Buffer.from(writer.finish()).toString('hex')).toBe(PYTHON_BATCH);
    expect(plain(decodePredictionsLogged(Buffer.from(PYTHON_BATCH, 'hex')))).toEqual(asMessage(batch));
  });

  it('refuses a cut inside a field, at every byte', () => {
    const writer = new ProtoWriter();
    encodePredictionsLogged(randomBatch(seededRandom(8)), writer);
    const bytes = writer.finish();
    for (let end = 0; end < bytes.length; end++) {
      try {
        expect(plain(decodePredictionsLogged(bytes.slice(0, end)))).toEqual(PredictionsLogged.decode(bytes.slice(0, end)));
      } catch (error) {
        expect((error as AppError).code).toBe('REQUEST_INVALID');
      }
    }
  });

  it.each([
    ['a hostile length', [0x3a, 0xff, 0xff, 0xff, 0xff, 0x07]],
    ['floats of five bytes', [0x3a, 5, 0, 0, 0, 0, 0]],
    ['a column beyond its field', [0x4a, 2, 0x0a, 9]],
    ['a token beyond its redacted column', [0x7a, 2, 0x1a, 9]],
    ['deep groups', new Array<number>(150).fill(0x7b)],
  ])('refuses %s', (_name, bytes) => {
    expect(() => decodePredictionsLogged(Uint8Array.from(bytes))).toThrow(AppError);
  });
});
