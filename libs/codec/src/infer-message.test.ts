import { ModelInferRequest, ModelInferResponse, type InferParameter as Parameter } from '@headrace/contracts/inference/grpc_service';
import { AppError } from '@headrace/base/errors';
import { seededRandom } from '@headrace/base/random';
import { describe, expect, it } from 'vitest';
import { NO_CONTENTS, type InferContents } from './infer-contents.js';
import { parameterOf, type InferParameter } from './infer-parameter.js';
import { decodeInferRequest, encodeInferRequest, type InferRequest } from './infer-request.js';
import { decodeInferResponse, encodeInferResponse, type InferResponse } from './infer-response.js';
import type { InferTensor } from './infer-tensor.js';
import { ProtoWriter } from './writer.js';

/** From Python's protobuf with the stubs of tritonclient 2.73: extremes of each list, bytes that are no text, an umlaut in a name. */
const PYTHON_REQUEST =
  '0a076772c3b6c39f651201331a03722d3122170a087072696f72697479120b28ffffffffffffffffff01221a0a0b73657175656e63655f6964120b1080808080808080' +
  '8080012a490a01611205494e5436341a0b02ffffffffffffffffff01220e0a01781209219a9999999999b93f2a201a1e80808080808080808001ffffffffffffffff7f' +
  '00ffffffffffffffffff012a250a0162120655494e5436341a01032a152a13ffffffffffffffffff010081808080808080102a130a01631204424f4f4c1a01032a050a' +
  '030100012a200a01641205494e5433321a01022a11120f80808080f8ffffffff01ffffffff072a170a0165120655494e5433321a01012a072205ffffffff0f2a1c0a01' +
  '661204465033321a01032a0e320c0000c03f000080ff000000802a200a01671204465036341a01022a123a10182d4454fb21094001000000000000002a160a01681205' +
  '42595445531a01022a0742004203ff007a32190a017912140a0e636c617373696669636174696f6e12020801';
const PYTHON_RESPONSE =
  '0a016d1201371a017122160a0d70726564696374696f6e5f696412051a03702d312a0d0a01791204465031361a0202012a0d0a017a120542595445531a010032' +
  '04003c00c03200';

describe('inference messages', () => {
  it('reads what ts-proto writes, anywhere inside a larger buffer, and writes it back byte by byte (seeded)', () => {
    const random = seededRandom(11);
    const writer = new ProtoWriter(16);
    for (let i = 0; i < 300; i++) {
      const request = randomRequest(random);
      const bytes = Buffer.from(ModelInferRequest.encode(request).finish());
      const padded = Buffer.alloc(bytes.length + 17, 0xff);
      padded.set(bytes, 9);
      const read = decodeInferRequest(padded, 9, 9 + bytes.length);
      padded.fill(0);
      expect(toTsProto(read)).toEqual(request);
      encodeInferRequest(read, writer.reset());
      expect(Buffer.from(writer.finish()).equals(bytes)).toBe(true);
    }
  });

  it('writes answers that ts-proto reads, and reads its answers (seeded)', () => {
    const random = seededRandom(12);
    const writer = new ProtoWriter(16);
    for (let i = 0; i < 300; i++) {
      const { inputs, raw, ...rest } = decodeInferRequest(ModelInferRequest.encode(randomRequest(random)).finish());
      const { modelName, modelVersion, id, parameters } = rest;
      const response: InferResponse = { modelName, modelVersion, id, parameters, outputs: inputs, raw };
      encodeInferResponse(response, writer.reset());
      const bytes = writer.finish();
      expect(decodeInferResponse(bytes)).toEqual(response);
      expect(Buffer.from(ModelInferResponse.encode(ModelInferResponse.decode(bytes)).finish()).equals(bytes)).toBe(true);
    }
  });

  it("reads golden bytes of Python's protobuf, with integers beyond 2^53, and writes the same", () => {
    const bytes = Buffer.from(PYTHON_REQUEST, 'hex');
    const request = decodeInferRequest(bytes);
    expect(request).toMatchObject({ modelName: 'größe', modelVersion: '3', id: 'r-1', raw: [] });
    expect(parameterOf(request.parameters, 'priority')).toEqual({ kind: 'uint64', value: 2n ** 64n - 1n });
    expect(parameterOf(request.parameters, 'sequence_id')).toEqual({ kind: 'int64', value: -(2n ** 63n) });
    expect(request.inputs.map(({ name, datatype, shape }) => [name, datatype, ...shape])).toEqual([
      ['a', 'INT64', 2, -1],
      ['b', 'UINT64', 3],
      ['c', 'BOOL', 3],
      ['d', 'INT32', 2],
      ['e', 'UINT32', 1],
      ['f', 'FP32', 3],
      ['g', 'FP64', 2],
      ['h', 'BYTES', 2],
    ]);
    const contents = request.inputs.map((input) => input.contents!);
    expect([...contents[0]!.int64s]).toEqual([-(2n ** 63n), 2n ** 63n - 1n, 0n, -1n]);
    expect([...contents[1]!.uint64s]).toEqual([2n ** 64n - 1n, 0n, 2n ** 53n + 1n]);
    expect([...contents[2]!.bools]).toEqual([1, 0, 1]);
    expect([...contents[3]!.ints]).toEqual([-(2 ** 31), 2 ** 31 - 1]);
    expect([...contents[4]!.uints]).toEqual([2 ** 32 - 1]);
    expect([...contents[5]!.floats]).toEqual([1.5, -Infinity, -0]);
    expect([...contents[6]!.doubles]).toEqual([Math.PI, 5e-324]);
    expect(contents[7]!.bytes.map((element) => [...element])).toEqual([[], [0xff, 0, 0x7a]]);
    const writer = new ProtoWriter();
    encodeInferRequest(request, writer);
    expect(Buffer.from(writer.finish()).toString('hex')).toBe(PYTHON_REQUEST);
    const response = decodeInferResponse(Buffer.from(PYTHON_RESPONSE, 'hex'));
    expect(response.raw.map((raw) => [...raw])).toEqual([[0, 0x3c, 0, 0xc0], []]);
    encodeInferResponse(response, writer.reset());
    expect(Buffer.from(writer.finish()).toString('hex')).toBe(PYTHON_RESPONSE);
  });

  it('adds up lists in pieces, packed or not; the last value of one parameter wins', () => {
    const contents = [0x0a, 2, 1, 0, 0x08, 1, 0x35, 0, 0, 0x80, 0x3f, 0x32, 4, 0, 0, 0, 0x40, 0x10, 5, 0x12, 1, 6];
    const bytes = Buffer.from([0x2a, contents.length + 2, 0x2a, contents.length, ...contents]);
    const { inputs } = decodeInferRequest(bytes);
    expect(inputs[0]!.contents).toEqual({
      ...NO_CONTENTS,
      bools: Uint8Array.of(1, 0, 1),
      floats: Float32Array.of(1, 2),
      ints: Int32Array.of(5, 6),
    });
    const twice = Buffer.from([0x22, 7, 0x0a, 1, 0x61, 0x12, 2, 0x08, 1, 0x22, 7, 0x0a, 1, 0x61, 0x12, 2, 0x08, 0]);
    expect(decodeInferRequest(twice).parameters).toEqual([{ name: 'a', value: { kind: 'bool', value: false } }]);
  });

  it('refuses a message cut at any byte inside a field, and never reads past its end', () => {
    const bytes = Buffer.from(PYTHON_REQUEST, 'hex');
    let cuts = 0;
    for (let end = 0; end < bytes.length; end++) {
      if (refused(() => decodeInferRequest(bytes, 0, end))) cuts++;
      else expect(toTsProto(withoutBig(decodeInferRequest(bytes, 0, end)))).toBeDefined();
    }
    expect(cuts).toBeGreaterThan(bytes.length * 0.9);
    const answer = Buffer.from(PYTHON_RESPONSE, 'hex');
    expect(Array.from(answer, (_, end) => refused(() => decodeInferResponse(answer, 0, end))).filter(Boolean).length).toBeGreaterThan(50);
  });

  it.each([
    ['a tensor longer than the message', [0x2a, 0x7f, 0x0a]],
    ['raw bytes of 4 GiB', [0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f]],
    ['raw bytes of 2^64', [0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]],
    ['floats of seven bytes', [0x2a, 11, 0x2a, 9, 0x32, 7, 0, 0, 0, 0, 0, 0, 0]],
    ['doubles of twelve bytes', [0x2a, 16, 0x2a, 14, 0x3a, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
    ['a packed list longer than its tensor', [0x2a, 4, 0x2a, 2, 0x12, 9]],
    ['a packed list that ends inside an integer', [0x2a, 5, 0x2a, 3, 0x12, 1, 0x80]],
    ['a packed integer of eleven bytes', [0x2a, 15, 0x2a, 13, 0x1a, 11, ...new Array<number>(10).fill(0x80), 1]],
    ['a dimension beyond 2^53', [0x2a, 12, 0x1a, 10, ...new Array<number>(8).fill(0xff), 0x7f, 0]],
    ['a name that is not UTF-8', [0x0a, 2, 0xc3, 0x28]],
    ['a parameter that is not UTF-8', [0x22, 4, 0x0a, 2, 0xff, 0xff]],
    ['field number 0', [0x02, 0]],
    ['groups nested 200 deep', [...new Array<number>(200).fill(0x7b), ...new Array<number>(200).fill(0x7c)]],
  ])('refuses %s', (_name, bytes) => {
    expect(refused(() => decodeInferRequest(Uint8Array.from(bytes)))).toBe(true);
  });

  it('survives random bytes: read, or refused as malformed (seeded)', () => {
    const random = seededRandom(13);
    for (let i = 0; i < 2000; i++) {
      const bytes = ModelInferRequest.encode(randomRequest(random)).finish();
      for (let flips = 0; flips < 3; flips++) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
      refused(() => decodeInferRequest(bytes));
    }
  });
});

function randomRequest(random: () => number): ModelInferRequest {
  const some = <T>(most: number, make: () => T): T[] => Array.from({ length: random() < 0.3 ? 0 : Math.floor(random() * most) }, make);
  const text = (): string =>
    random() < 0.2 ? '' : String.fromCodePoint(...some(12, () => (random() < 0.1 ? 0x1f600 : 32 + Math.floor(random() * 600))));
  const int = (): number => Math.floor((random() - 0.5) * 2 ** (1 + Math.floor(random() * 53)));
  const bytes = (): Buffer => Buffer.from(some(20, () => Math.floor(random() * 256)));
  const parameter = (): Parameter => ({
    parameterChoice: [
      { $case: 'boolParam' as const, value: random() < 0.5 },
      { $case: 'int64Param' as const, value: int() },
      { $case: 'stringParam' as const, value: text() },
      { $case: 'doubleParam' as const, value: random() },
      { $case: 'uint64Param' as const, value: Math.abs(int()) },
    ][Math.floor(random() * 5)]!,
  });
  const parameters = (): Record<string, Parameter> => Object.fromEntries(some(3, () => [`p${text()}`, parameter()]));
  return {
    modelName: text(),
    modelVersion: text(),
    id: text(),
    parameters: parameters(),
    inputs: some(4, () => ({
      name: text(),
      datatype: text(),
      shape: some(4, int),
      parameters: parameters(),
      contents:
        random() < 0.3
          ? undefined
          : {
              boolContents: some(9, () => random() < 0.5),
              intContents: some(9, () => Math.floor((random() - 0.5) * 2 ** 32)),
              int64Contents: some(9, int),
              uintContents: some(9, () => Math.floor(random() * 2 ** 32)),
              uint64Contents: some(9, () => Math.abs(int())),
              fp32Contents: some(20, () => Math.fround(random() - 0.5)),
              fp64Contents: some(9, () => random() - 0.5),
              bytesContents: some(4, bytes),
            },
    })),
    outputs: some(3, () => ({ name: text(), parameters: parameters() })),
    rawInputContents: some(4, bytes),
  };
}

function toTsProto(request: InferRequest): ModelInferRequest {
  return {
    modelName: request.modelName,
    modelVersion: request.modelVersion,
    id: request.id,
    parameters: mapOf(request.parameters),
    inputs: request.inputs.map((input: InferTensor) => ({
      name: input.name,
      datatype: input.datatype,
      shape: [...input.shape],
      parameters: mapOf(input.parameters),
      contents: input.contents && contentsOf(input.contents),
    })),
    outputs: request.outputs.map(({ name, parameters }) => ({ name, parameters: mapOf(parameters) })),
    rawInputContents: request.raw.map((raw) => Buffer.from(raw)),
  };
}

function contentsOf(contents: InferContents): NonNullable<ModelInferRequest['inputs'][number]['contents']> {
  return {
    boolContents: Array.from(contents.bools, (value) => value === 1),
    intContents: [...contents.ints],
    int64Contents: Array.from(contents.int64s, Number),
    uintContents: [...contents.uints],
    uint64Contents: Array.from(contents.uint64s, Number),
    fp32Contents: [...contents.floats],
    fp64Contents: [...contents.doubles],
    bytesContents: contents.bytes.map((element) => Buffer.from(element)),
  };
}

function mapOf(parameters: readonly InferParameter[]): Record<string, Parameter> {
  return Object.fromEntries(
    parameters.map(({ name, value }) => [
      name,
      {
        parameterChoice: {
          $case: `${value.kind}Param`,
          value: typeof value.value === 'bigint' ? Number(value.value) : value.value,
        } as never,
      },
    ]),
  );
}

const withoutBig = (request: InferRequest): InferRequest => ({ ...request, parameters: [], inputs: [] });

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
