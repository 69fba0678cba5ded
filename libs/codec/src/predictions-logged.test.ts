import { PredictionsLogged, type LoggedColumn } from '@headrace/contracts/events/v1/events';
import { AppError } from '@headrace/base/errors';
import { seededRandom } from '@headrace/base/random';
import { describe, expect, it } from 'vitest';
import { decodePredictionsLogged, encodePredictionsLogged, type PredictionBatch } from './predictions-logged.js';
import { TextList } from './text-list.js';
import { ProtoWriter } from './writer.js';

/** The texts that stand in the lists of a batch, by what they are. */
interface Texts {
  readonly ids: readonly string[];
  readonly column: readonly string[];
  readonly entities: readonly string[];
  readonly traces: readonly string[];
  readonly tokens: readonly string[];
}

/** A batch as serving holds it: features column by column, with some room behind the last row. */
function randomBatch(random: () => number): { batch: PredictionBatch; texts: Texts } {
  const rows = Math.floor(random() * 30);
  const width = 1 + Math.floor(random() * 5);
  const values = Float32Array.from({ length: (rows + 3) * width }, () => (random() < 0.1 ? Number.NaN : Math.fround(random() * 100)));
  const some = (): string[] => Array.from({ length: rows }, () => (random() < 0.3 ? '' : `t${Math.floor(random() * 9)}é`));
  const has = (): boolean => random() < 0.5;
  const texts = {
    ids: Array.from({ length: rows }, (_, i) => `id/${i}`),
    column: some(),
    entities: has() ? some() : [],
    traces: has() ? some() : [],
    tokens: has() ? some() : [],
  };
  const batch: PredictionBatch = {
    project: 'default',
    model: 'm',
    version: Math.floor(random() * 9),
    arm: 'champion',
    instance: has() ? 'i' : '',
    rows,
    predictionIds: TextList.of(5, texts.ids),
    predictedAtMs: Float64Array.from({ length: rows }, () => (random() < 0.5 ? 1.7e12 : Math.floor(random() * 2 ** 45))),
    scores: Float32Array.from({ length: rows + 2 }, random),
    labels: Uint8Array.from({ length: rows + 2 }, () => (random() < 0.5 ? 1 : 0)),
    columns: [
      ...Array.from({ length: width }, (_, first) => ({
        name: `f${first}`,
        kind: 'numbers' as const,
        values,
        first: first * (rows + 3),
      })),
      {
        name: 'text',
        kind: 'texts',
        values: TextList.of(3, texts.column),
        missing: Uint8Array.from(texts.column, (text) => (text === '' ? 1 : 0)),
      },
    ],
    entities: texts.entities.length > 0 ? TextList.of(10, texts.entities) : undefined,
    stale: has() ? Uint8Array.from({ length: rows }, () => (random() < 0.5 ? 1 : 0)) : undefined,
    traceIds: texts.traces.length > 0 ? TextList.of(14, texts.traces) : undefined,
    account: { answered: Math.floor(random() * 2 ** 40), logged: 7, sampledOut: 0, dropped: Math.floor(random() * 3) },
    redacted: [
      ...(has() ? [{ name: 'born', redaction: 'omit', tokens: undefined }] : []),
      ...(texts.tokens.length > 0 ? [{ name: 'sex', redaction: 'hash', tokens: TextList.of(3, texts.tokens) }] : []),
    ],
    entityRedaction: has() ? 'hash' : '',
  };
  return { batch, texts };
}

function asMessage({ batch, texts }: ReturnType<typeof randomBatch>): PredictionsLogged {
  const columns = batch.columns.map((column): LoggedColumn =>
    column.kind === 'numbers'
      ? { name: column.name, numbers: [...column.values.subarray(column.first, column.first + batch.rows)], texts: [], missing: [] }
      : { name: column.name, numbers: [], texts: [...texts.column], missing: texts.column.map((t) => t === '') },
  );
  return {
    project: batch.project,
    model: batch.model,
    version: batch.version,
    arm: batch.arm,
    instance: batch.instance,
    predictionIds: [...texts.ids],
    predictedAtMs: [...batch.predictedAtMs],
    scores: [...batch.scores.subarray(0, batch.rows)],
    labels: [...batch.labels.subarray(0, batch.rows)],
    columns,
    entities: [...texts.entities],
    stale: [...(batch.stale ?? [])].map(Boolean),
    traceIds: [...texts.traces],
    account: { ...batch.account },
    redacted: batch.redacted.map(({ name, redaction, tokens }) => ({ name, redaction, tokens: tokens ? [...texts.tokens] : [] })),
    entityRedaction: batch.entityRedaction,
  };
}

const plain = (data: ReturnType<typeof decodePredictionsLogged>): unknown => ({
  ...data,
  columns: data.columns.map((c) => ({ ...c, numbers: [...c.numbers] })),
});

describe('prediction log codec', () => {
  it('writes the bytes of ts-proto from the buffers that rows are collected in, and reads them back (seeded)', () => {
    const random = seededRandom(21);
    const writer = new ProtoWriter(8);
    for (let i = 0; i < 300; i++) {
      const made = randomBatch(random);
      encodePredictionsLogged(made.batch, writer.reset());
      const bytes = writer.finish();
      const message = asMessage(made);
      expect(PredictionsLogged.decode(bytes)).toEqual(message);
      expect(Buffer.from(bytes).equals(PredictionsLogged.encode(message).finish())).toBe(true);
      expect(plain(decodePredictionsLogged(bytes))).toEqual(message);
    }
  });

  it('refuses a cut inside a field, at every byte', () => {
    const writer = new ProtoWriter();
    encodePredictionsLogged(randomBatch(seededRandom(8)).batch, writer);
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
