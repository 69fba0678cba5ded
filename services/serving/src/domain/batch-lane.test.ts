import { seededRandom } from '@headrace/base/random';
import { describe, expect, it } from 'vitest';
import { BatchLane, type LaneJob } from './batch-lane.js';
import { compileInputPlan } from '@headrace/executor/input-plan';

const plan = compileInputPlan(
  [
    { name: 'a', reference: 'v:a', type: 'float64' },
    { name: 't', reference: 'v:t', type: 'string' },
  ],
  [{ name: 'g', reference: 'w:g', type: 'int64' }],
);

describe('batch lane', () => {
  it('keeps each request its own rows, whatever the sizes, and never exceeds its bound (seeded)', () => {
    const random = seededRandom(3);
    const lane = new BatchLane<LaneJob & { id: number }>(plan, 16);
    const seen: number[] = [];
    const drain = (): void => {
      const batch = lane.take();
      expect(batch.rows).toBeLessThanOrEqual(16);
      for (const job of batch.jobs) {
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
      lane.add({ id, rows, firstRow: -1 });
    }
    drain();
    expect(seen).toEqual(Array.from({ length: 500 }, (_, i) => i));
  });

  it('opens a fresh block while a taken batch is still running', () => {
    const lane = new BatchLane<LaneJob>(plan, 4);
    lane.block.numbers[0] = 1;
    lane.add({ rows: 1, firstRow: -1 });
    const running = lane.take();
    lane.block.numbers[0] = 2;
    expect(running.block.numbers[0]).toBe(1);
    expect(lane.waitingRows).toBe(0);
    lane.recycle(running);
    lane.take();
    expect(lane.block).toBe(running.block);
  });
});
