import { Signature } from '@headrace/contracts/registry/v1/registry';
import { Harness, TRANSPORTS } from '@headrace/serving/test/harness';
import { echoModel, ONNX_TYPES, sumModel, type OnnxType } from '@headrace/testkit/onnx-graph';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { foreignPython, pythonOf, runPytest, skipReason } from './python-clients.js';

/** A version without features: tensors are all that it takes. */
const TENSORS_ONLY = { golden: {}, signature: Signature.fromPartial({}) };
const WITHOUT_HALVES = (Object.keys(ONNX_TYPES) as OnnxType[]).filter((type) => type !== 'FP16');

const foreign = await foreignPython();
const without = skipReason(foreign);

const GRPC_CLIENTS = [
  ['tritonclient over gRPC', 'test_triton_grpc.py', 20],
  ['tritonclient with asyncio', 'test_triton_aio.py', 3],
] as const;
const ALL_CLIENTS = [
  ...GRPC_CLIENTS,
  ['tritonclient over HTTP', 'test_triton_http.py', 30],
  ['the clients of KServe', 'test_kserve.py', 8],
] as const;

/** Foreign clients, as they are published, against the serving service: it must not matter to them that it is ours. */
describe.skipIf(without !== '').each(TRANSPORTS)(`serving over %s${without}`, (grpcTransport) => {
  let h: Harness;

  beforeAll(async () => {
    h = await Harness.start({ grpcTransport });
    h.peers.addLogistic('income', 1, 0.5);
    h.peers.add({ model: 'echo', version: 1, bytes: echoModel(), ...TENSORS_ONLY });
    h.peers.add({ model: 'echo-typed', version: 1, bytes: echoModel(WITHOUT_HALVES), ...TENSORS_ONLY });
    h.peers.add({ model: 'sums', version: 3, bytes: sumModel(), ...TENSORS_ONLY });
    await h.serve('income', 1);
    await h.serve('echo', 1);
    await h.serve('echo-typed', 1);
    await h.serve('sums', 3);
  });

  afterAll(() => h.close());

  // HTTP is the same beside either transport of gRPC.
  it.each(grpcTransport === 'wire' ? ALL_CLIENTS : GRPC_CLIENTS)('answers %s', async (_name, file, testsAtLeast) => {
    const report = await runPytest(pythonOf(foreign), file, { OIP_GRPC: h.service.grpcAddress, OIP_HTTP: h.service.httpUrl });
    expect(report.failures, report.output).toBe(0);
    expect(report.passed).toBeGreaterThanOrEqual(testsAtLeast);
  });
});
