import { seededRandom } from '@headrace/base/random';
import { describe, expect, it } from 'vitest';
import { BatchLane, type Batch, type LaneJob } from './batch-lane.js';
import { compileInputPlan } from '@headrace/executor/input-plan';

const plan = compileInputPlan(
  [
    { name: 'a', reference: 'v:a', type: 'float64' },
    { name: 't', reference: 'v:t', type: 'string' },
  ],
  [{ name: 'g', reference: 'w:g', type: 'int64' }],
);

const job = (rows: number, deadlineMs = Infinity): LaneJob => ({ rows, firstRow: -1, deadlineMs });

const jobsOf = <J extends LaneJob>({ jobs, count }: Batch<J>): J[] => jobs.slice(0, count);

describe('batch lane', () => {
  it('keeps each request its own rows, whatever the sizes, and never exceeds its bound (seeded)', () => {
    const random = seededRandom(3);
    const lane = new BatchLane<LaneJob & { id: number }>(plan, 16);
    const seen: number[] = [];
    const drain = (): void => {
      const batch = lane.take();
      expect(batch.rows).toBeLessThanOrEqual(16);
      for (const job of jobsOf(batch)) {
        for (let r = 0; r < job.rows; r++) {
          expect(batch.block.numbers[job.firstRow + r]).toBe(job.id);
          expect(batch.block.texts[0]![job.firstRow + r]).toBe(`t${job.id}`);
        }
        seen.push(job.id);
      }
      lane.recycle(batch);
    };
    for (let id = 0; id < 500; id++) {
      const rows = 1 + Math.floor(random() * 5);
      if (!lane.hasRoom(rows)) drain();
      const at = lane.waitingRows;
      lane.block.clear(at, rows);
      for (let r = 0; r < rows; r++) {
        lane.block.numbers[at + r] = id;
        lane.block.texts[0]![at + r] = `t${id}`;
      }
      lane.add({ id, rows, firstRow: -1, deadlineMs: Infinity }, 0);
    }
    drain();
    expect(seen).toEqual(Array.from({ length: 500 }, (_, i) => i));
  });

  it('opens a fresh block while a taken batch is still running', () => {
    const lane = new BatchLane<LaneJob>(plan, 4);
    lane.block.numbers[0] = 1;
    lane.add(job(1), 0);
    const running = lane.take();
    lane.block.numbers[0] = 2;
    expect(running.block.numbers[0]).toBe(1);
    expect(lane.waitingRows).toBe(0);
    lane.recycle(running);
    lane.take();
    expect(lane.block).toBe(running.block);
  });

  it('is due after its delay, and in good time before the first deadline', () => {
    const lane = new BatchLane<LaneJob>(plan, 4, 10);
    expect(lane.dueAtMs).toBe(Infinity);
    lane.add(job(1), 1_000);
    expect(lane.dueAtMs).toBe(1_010);
    lane.add(job(1), 1_005);
    expect(lane.dueAtMs).toBe(1_010);
    lane.add(job(1, 1_008), 1_005);
    expect([lane.dueAtMs, lane.isFull]).toEqual([1_006, false]);
    lane.add(job(1), 1_005);
    expect(lane.isFull).toBe(true);
    lane.take();
    expect(lane.dueAtMs).toBe(Infinity);
  });

  it('closes up over jobs that are taken out, each keeping its own rows (seeded)', () => {
    const random = seededRandom(9);
    for (let round = 0; round < 50; round++) {
      const lane = new BatchLane<LaneJob & { id: number }>(plan, 64);
      const ids = Array.from({ length: 12 }, (_, id) => id);
      for (const id of ids) {
        const one = { ...job(1 + Math.floor(random() * 5)), id };
        const at = lane.waitingRows;
        lane.block.clear(at, one.rows);
        for (let r = 0; r < one.rows; r++) {
          lane.block.numbers[at + r] = id;
          lane.block.extraNumbers[at + r] = -id;
          lane.block.texts[0]![at + r] = `t${id}`;
        }
        lane.add(one, 0);
      }
      const over = new Set(ids.filter(() => random() < 0.4));
      lane.sift(({ id }) => over.has(id), 0);
      const batch = lane.take();
      expect(jobsOf(batch).map(({ id }) => id)).toEqual(ids.filter((id) => !over.has(id)));
      expect(batch.rows).toBe(jobsOf(batch).reduce((sum, { rows }) => sum + rows, 0));
      for (const { id, rows, firstRow } of jobsOf(batch))
        for (let r = firstRow; r < firstRow + rows; r++)
          expect([batch.block.numbers[r], batch.block.extraNumbers[r], batch.block.texts[0]![r]]).toEqual([id, -id, `t${id}`]);
    }
  });
});
