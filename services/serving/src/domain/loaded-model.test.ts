import { describe, expect, it } from 'vitest';
import { BatchLane } from './batch-lane.js';
import { compileInputPlan } from '@headrace/executor/input-plan';
import { ModelStatistics } from './model-statistics.js';
import { RunWatch } from './run-watch.js';
import { LoadedModel } from './loaded-model.js';

const plan = compileInputPlan([{ name: 'a', reference: 'v:a', type: 'float64' }], []);

function standing(): { model: LoadedModel<never>; released: () => number } {
  let released = 0;
  const model = new LoadedModel<never>('p', 'm', 1, 'sha', new ModelStatistics('p', 'm', 1));
  model.step('start');
  model.stand({
    session: { run: () => new Float32Array(), release: () => void released++, retire: () => void released++ },
    watch: new RunWatch('here', 2, () => 0),
    runtime: { name: 'onnxruntime', reason: '' },
    open: () => Promise.reject(new Error('not asked')),
    tensors: { inputs: [], outputs: [], isRowWise: false, run: () => [] },
    isPredictable: true,
    lane: new BatchLane(plan, 4),
    plan,
    threshold: 0.5,
    lookup: undefined,
    missingFeatures: 'null',
    defaults: [],
  });
  return { model, released: () => released };
}

describe('loaded model', () => {
  it('releases its session after the last request that pinned it, and once', () => {
    const { model, released } = standing();
    model.step('routed');
    model.pin();
    model.pin();
    let drained = 0;
    model.retire(() => drained++);
    model.unpin();
    expect([model.state, released(), drained]).toEqual(['draining', 0, 0]);
    model.unpin();
    expect([model.state, released(), drained]).toEqual(['unloaded', 1, 1]);
    expect(() => model.parts).toThrow('m/1 has no session while unloaded');
  });

  it('ends at once when nothing holds it', () => {
    const { model, released } = standing();
    model.step('routed');
    model.retire(() => {});
    expect([model.state, released()]).toEqual(['unloaded', 1]);
  });

  it('keeps the reason of a failed load and frees what was opened', () => {
    const { model, released } = standing();
    model.fail('golden row 3 disagrees');
    expect([model.state, model.failure, released()]).toEqual(['failed', 'golden row 3 disagrees', 1]);
  });
});
