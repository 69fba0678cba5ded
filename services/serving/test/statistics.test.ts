import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Harness, TRANSPORTS } from './harness.js';
import { logistic } from './peers.js';

describe.each(TRANSPORTS)('statistics of serving over %s', (grpcTransport) => {
  let h: Harness;

  beforeAll(async () => {
    h = await Harness.start({ grpcTransport });
    h.peers.addLogistic('m', 1, 0.25);
    await h.serve('m', 1);
    await h.client.predict({
      model: 'm',
      dense: [
        [1, 2, 3],
        [1, 2, 3],
      ],
    });
    await h.client.predict({ model: 'm', dense: new Float32Array(900) });
    await h.client.predict({ model: 'm', dense: [[1]] }).catch(() => undefined);
    await h.client.predict({ model: 'nobody', dense: [[1]] }).catch(() => undefined);
  });
  afterAll(() => h.close());

  it('count requests, rows, refusals by code, and each native run', async () => {
    const { versions } = await h.admin.getStatistics({ project: 'default', model: 'm' });
    expect(versions).toHaveLength(1);
    const [one] = versions;
    expect(one).toMatchObject({ model: 'm', version: 1, requests: 2, rows: 302, failures: { INPUT_INVALID: 1 } });
    // One run of two rows; three hundred rows in runs of at most 128.
    expect([one!.latency!.count, one!.queue!.count, one!.compute!.count, one!.batchRows!.sum]).toEqual([2, 2, 4, 302]);
    expect(one!.latency!.counts.reduce((a, b) => a + b, 0)).toBe(2);
    expect(one!.latency!.sum).toBeGreaterThanOrEqual(one!.compute!.sum);
    expect(one!.lastAnsweredAt!.getTime()).toBeGreaterThan(Date.now() - 60_000);
    expect((await h.admin.getStatistics({ project: 'default', model: 'nobody' })).versions).toEqual([]);
  });

  it('are the metrics that Prometheus reads', async () => {
    const text = await (await fetch(`${h.service.httpUrl}/metrics`)).text();
    const labels = 'project="default",model="m",version="1"';
    expect(text).toContain(`headrace_serving_predictions_total{${labels},outcome="ok",service="serving"} 2`);
    expect(text).toContain(`headrace_serving_predictions_total{${labels},outcome="INPUT_INVALID",service="serving"} 1`);
    expect(text).toMatch(/headrace_serving_predictions_total\{[^}]*version="",outcome="MODEL_NOT_LOADED",service="serving"\} 1/);
    expect(text).toContain(`headrace_serving_rows_total{${labels},service="serving"} 302`);
    expect(text).toContain(`headrace_serving_batch_rows_bucket{${labels},le="2",service="serving"} 1`);
    expect(text).toContain(`headrace_serving_predict_seconds_bucket{${labels},le="+Inf",service="serving"} 2`);
    expect(text).toContain(`headrace_serving_queue_seconds_count{${labels},service="serving"} 2`);
  });

  it('come with a description of each version whose examples can be sent as they are', async () => {
    const description = await h.admin.describeVersion({ project: '', model: 'm', version: 0 });
    expect(description).toMatchObject({ model: 'm', version: 1, entityKeys: ['person_id'], threshold: 0.5 });
    expect(description.inputs.map(({ name, type }) => [name, type])).toEqual([
      ['a', 'float64'],
      ['b', 'int64'],
      ['c', 'float64'],
    ]);
    expect(description.protectedAttributes).toEqual([{ name: 'sex', type: 'string', reference: 'person:sex' }]);
    const { features, score } = description.examples[0]!;
    const { a, b, c } = features as { a: number; b: number; c: number };
    expect(score).toBeCloseTo(logistic(a, b, c, 0.25), 5);
    const answer = await h.client.predict({ model: 'm', columns: { a: [a], b: [b], c: [c] } });
    expect(answer.rows[0]!.score).toBeCloseTo(score, 5);
    const overHttp = (await (await fetch(`${h.service.httpUrl}/models/m?version=1`)).json()) as { examples: unknown[] };
    expect(overHttp.examples).toHaveLength(3);
    await expect(h.admin.describeVersion({ project: '', model: 'm', version: 7 })).rejects.toMatchObject({ code: 'VERSION_UNKNOWN' });
    await expect(h.admin.describeVersion({ project: '', model: 'no', version: 0 })).rejects.toMatchObject({ code: 'MODEL_NOT_LOADED' });
    expect((await fetch(`${h.service.httpUrl}/models/m?version=x`)).status).toBe(400);
  });
});
