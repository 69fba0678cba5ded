import { describe, expect, it } from 'vitest';
import { readProgress, stepText } from './runtime-progress.js';
import { readRuntimeFile, summary } from './runtime-results.js';

const result = {
  runId: 'r',
  onnx: { sha256: 'a'.repeat(64), bytes: 7, opset: 17 },
  signature: { inputs: [], outputs: [{ name: 'label' }], threshold: 0.5 },
  rows: { train: 8, holdout: 2, unlabelled: 0 },
  metrics: { accuracy: 0.8, auc: null },
  groups: [{ attribute: 'SEX', groups: [], equal_opportunity_difference: 0.1 }],
  parity: { rows: 2, max_abs_diff: 0, label_mismatches: 0 },
  environment: { python: '3.11' },
};

describe('files of the runtime', () => {
  it('keep what is not known here, and sum up to the metrics and gaps', () => {
    const read = readRuntimeFile('result.json', JSON.stringify(result));
    expect(read).toEqual(result);
    expect(summary(read)).toEqual({ accuracy: 0.8, auc: null, equal_opportunity_difference: { SEX: 0.1 } });
  });

  it.each<[string, unknown, RegExp]>([
    ['a hash that is none', { ...result, onnx: { sha256: 'x', bytes: 7 } }, /onnx\.sha256/],
    ['no metrics', { ...result, metrics: undefined }, /metrics/],
    ['a metric that is a text', { ...result, metrics: { accuracy: '0.8' } }, /metrics\.accuracy/],
    ['labels that differ from the model', { ...result, parity: { rows: 2, max_abs_diff: 0, label_mismatches: 1 } }, /label_mismatches/],
    ['a list', [], /result\.json that is not as agreed/],
  ])('are refused with %s', (_name, document, fault) => {
    expect(() => readRuntimeFile('result.json', JSON.stringify(document))).toThrow(fault);
  });

  it('are refused when they are not JSON, as NaN is not', () => {
    expect(() => readRuntimeFile('golden.json', '{"rows": [NaN]}')).toThrow(/not JSON/);
  });
});

describe('progress lines', () => {
  it('move the step when they are steps or progress, and are passed over when they are anything else', () => {
    const step = (line: string): string | undefined => {
      const read = readProgress(line);
      return read && stepText(read);
    };
    expect(step('{"event":"step","step":"load","seconds":0.1}')).toBe('train/load done');
    expect(step('{"event":"progress","step":"fit","done":40,"total":150}')).toBe('train/fit 40/150');
    expect(step('{"event":"metric","name":"auc","value":null}')).toBeUndefined();
    for (const noise of ['[LightGBM] [Info] hello', '', '{}', '{"event":"step"}', 'null', '7']) expect(readProgress(noise)).toBeUndefined();
    expect(readProgress('{"event":"error","code":"DATA_INVALID","message":"m"}')).toMatchObject({ code: 'DATA_INVALID' });
  });
});
