import { RunState } from '@headrace/contracts/training/v1/training';
import { Postgres } from '@headrace/platform/postgres/postgres';
import { eventually } from '@headrace/testkit/eventually';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openTrainer, smallSpec, type Trainer } from './support.js';

let trainer: Trainer;
beforeAll(async () => {
  trainer = await openTrainer();
  trainer.registry.models.set('long', { ...smallSpec, learner: { kind: 'lightgbm', params: { n_estimators: 200, min_child_samples: 2 } } });
});
afterAll(() => trainer.close());

const childPid = (runId: string): Promise<number> =>
  eventually(
    'the training process is known',
    async () => {
      const [row] = await trainer.service.app
        .get(Postgres)
        .query<{ child_pid: number | null }>('select child_pid from runs where run_id = $1', [runId]);
      return row?.child_pid ?? (false as const);
    },
    { withinMs: 30_000 },
  );

it('a worker killed in the middle of training loses the run to another, which ends the orphan; one version comes of it', async () => {
  const worker = await trainer.workerProcess();
  const { runId } = await trainer.request('long', 'kill me');
  const orphan = await childPid(runId);
  worker.kill('SIGKILL');
  expect(() => process.kill(orphan, 0)).not.toThrow();

  await trainer.workerProcess();
  const run = await trainer.until(runId, RunState.SUCCEEDED);
  expect(run).toMatchObject({ attempt: 2, version: 1 });
  expect(trainer.registry.versions.map((v) => v.runId)).toEqual([runId]);
  expect(() => process.kill(orphan, 0)).toThrow();
  await eventually('the loss shows in the events', () =>
    expect(trainer.states(runId)).toEqual(['queued', 'admitted', 'running', 'queued', 'admitted', 'running', 'succeeded']),
  );
});

it('a worker killed between registration and its record is repeated without a second version', async () => {
  const { runId } = await trainer.request('small', 'register twice');
  await trainer.until(runId, RunState.SUCCEEDED);
  // As if the outcome had never been written: the run is held by a worker that is gone.
  const postgres = trainer.service.app.get(Postgres);
  await postgres.execute(
    `update runs set state = 'running', finished_at = null, version = 0, lease_owner = 'gone', lease_until = now() - interval '1 second' where run_id = $1`,
    [runId],
  );
  const run = await trainer.until(runId, RunState.SUCCEEDED);
  expect(run).toMatchObject({ attempt: 2, version: 1 });
  expect(trainer.registry.versions.filter((v) => v.runId === runId)).toHaveLength(1);
  expect(trainer.registry.registrations.filter((r) => r.runId === runId)).toHaveLength(2);
});

it('a worker that is stopped gives its run back at once, and the attempt does not count', async () => {
  const runs = await trainer.client.listRuns({});
  expect(runs.runs.every((r) => r.state === RunState.SUCCEEDED)).toBe(true);
  const another = await openTrainer({ leaseMs: 60_000 });
  try {
    another.registry.models.set('long', {
      ...smallSpec,
      learner: { kind: 'lightgbm', params: { n_estimators: 200, min_child_samples: 2 } },
    });
    const worker = await another.worker();
    const { runId } = await another.request('long', 'hand back');
    await eventually('it trains', async () => (await another.client.getRun({ runId })).state === RunState.RUNNING);
    await worker.close();
    expect(await another.client.getRun({ runId })).toMatchObject({ state: RunState.QUEUED, attempt: 0 });
    await another.worker();
    expect(await another.until(runId, RunState.SUCCEEDED)).toMatchObject({ attempt: 1, version: 1 });
  } finally {
    await another.close();
  }
});

it('a run past its time limit is killed, and says so', async () => {
  const another = await openTrainer({ runLimitMs: 1_000 });
  try {
    another.registry.models.set('endless', {
      ...smallSpec,
      learner: { kind: 'lightgbm', params: { n_estimators: 5000, min_child_samples: 2 } },
    });
    await another.worker();
    const { runId } = await another.request('endless', 'too long');
    const run = await another.until(runId, RunState.KILLED);
    expect(run.failure).toMatch(/DEADLINE_EXCEEDED: the attempt took longer than 1000 ms .*killed in step train/);
    expect(another.registry.versions).toEqual([]);
  } finally {
    await another.close();
  }
});
