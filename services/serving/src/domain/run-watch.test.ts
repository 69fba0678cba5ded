import { seededRandom } from '@headrace/base/random';
import { describe, expect, it } from 'vitest';
import { RunWatch, WINDOW_RUNS, type Place } from './run-watch.js';

const BOUND_MS = 2;
/** Runs of a version: its rows, and what a run of so many takes, ms. */
type Cost = (rows: number) => number;
/** As 300 trees take: 1.06 ms for 128 rows. */
const trees: Cost = (rows) => 0.015 + rows * 0.0082;

/** A thread that does nothing but these runs, and has the processor all the time unless the machine pauses. */
class Machine {
  cpuMs = 0;
  readonly watch: RunWatch;
  #isTold = false;

  constructor(place: Place = 'here') {
    this.watch = new RunWatch(place, BOUND_MS, () => this.cpuMs);
    this.watch.wrongPlace = () => (this.#isTold = true);
  }

  /** @returns whether it was told to move. */
  run(rows: number, ms: number, pauseMs = 0): boolean {
    this.#isTold = false;
    if (this.watch.place === 'worker') this.watch.ranElsewhere(rows, ms);
    else {
      this.cpuMs += ms;
      this.watch.ranHere(rows, ms + pauseMs);
    }
    return this.#isTold;
  }

  /** @returns the runs until it was told to move, or `most` and one more when it never was. */
  runsUntilMove(most: number, rows: () => number, cost: Cost): number {
    for (let run = 1; run <= most; run++) {
      const count = rows();
      if (this.run(count, cost(count))) return run;
    }
    return most + 1;
  }
}

const one = (): number => 1;
/** Skewed to few rows, as load is. */
const someRows = (random: () => number) => (): number => 1 + Math.floor(127 * random() ** 3);

describe('the watch over runs', () => {
  it.each([1, 2, 3, 4, 5])('moves no fast model, whatever one run in ten is held up by (seed %i)', (seed) => {
    const random = seededRandom(seed);
    const machine = new Machine();
    const rowsOf = someRows(random);
    for (let run = 0; run < 20_000; run++) {
      const rows = rowsOf();
      // Up to ten seconds, and at most one run in ten of any window.
      const pauseMs = run % 10 === 0 ? 10_000 * random() : 0;
      expect(machine.run(rows, trees(rows), pauseMs)).toBe(false);
    }
  });

  it.each([1, 2, 3])('moves no fast model on a machine that is so busy that every run takes three times as long (seed %i)', (seed) => {
    const random = seededRandom(seed);
    const machine = new Machine();
    for (let run = 0; run < 20_000; run++) {
      const ms = 0.8 + 0.4 * random();
      expect(machine.run(64, ms, 2 * ms)).toBe(false);
    }
  });

  it.each([1, 2, 3])('moves a slow model with its second window, held up or not, and says why (seed %i)', (seed) => {
    const random = seededRandom(seed);
    const machine = new Machine();
    let runs = 0;
    while (!machine.run(4, 3 + random(), random() < 0.05 ? 500 : 0)) expect(++runs).toBeLessThan(2 * WINDOW_RUNS);
    expect(machine.watch.figures).toMatchObject({ runs: WINDOW_RUNS, rows: 4, boundMs: BOUND_MS });
    expect(machine.watch.figures.ms).toBeGreaterThan(BOUND_MS);
  });

  it('moves a model whose large runs are slow, however many small ones are quick beside them', () => {
    const machine = new Machine();
    const random = seededRandom(1);
    const cost: Cost = (rows) => rows * 0.05;
    expect(machine.runsUntilMove(1_000, () => (random() < 0.6 ? 128 : 1), cost)).toBeLessThanOrEqual(4 * WINDOW_RUNS);
  });

  it('says so once until the move has ended one way or the other', () => {
    const machine = new Machine();
    const untilMove = (): number => machine.runsUntilMove(1_000, one, () => 5);
    expect(untilMove()).toBe(2 * WINDOW_RUNS);
    expect(untilMove()).toBe(1_001);
    machine.watch.stayed();
    expect(untilMove()).toBe(3 * WINDOW_RUNS);
    machine.watch.stayed();
    expect(untilMove()).toBe(5 * WINDOW_RUNS);
  });

  it('brings a model back that turns out to be quick, and leaves one near the bound where it is', () => {
    const quick = new Machine('worker');
    expect(quick.runsUntilMove(10_000, () => 128, trees)).toBe(4 * WINDOW_RUNS);
    const near = new Machine('worker');
    expect(
      near.runsUntilMove(
        10_000,
        () => 1,
        () => 1.5,
      ),
    ).toBe(10_001);
    near.watch.moved('here');
    expect(
      near.runsUntilMove(
        10_000,
        () => 1,
        () => 1.5,
      ),
    ).toBe(10_001);
  });

  it('judges the way back by as many rows as the model had here: fewer rows alone make no quick model', () => {
    const cost: Cost = (rows) => 0.1 + rows * 0.05;
    const machine = new Machine();
    machine.runsUntilMove(1_000, () => 64, cost);
    machine.watch.moved('worker');
    expect(machine.runsUntilMove(100_000, () => 1, cost)).toBe(100_001);
    // The same rows, and it has become quick: what was measured here was another machine.
    expect(machine.runsUntilMove(100_000, () => 64, trees)).toBeLessThanOrEqual(5 * WINDOW_RUNS);
  });

  it('forgets what ran before a move, and what ends in the other place after it', () => {
    const machine = new Machine('worker');
    let told = 0;
    machine.watch.wrongPlace = () => told++;
    for (let run = 0; run < 5 * WINDOW_RUNS; run++) machine.watch.ranHere(1, 50);
    for (let run = 0; run < WINDOW_RUNS - 1; run++) machine.watch.ranElsewhere(1, 0.01);
    machine.watch.moved('here');
    for (let run = 0; run < 10 * WINDOW_RUNS; run++) machine.watch.ranElsewhere(1, 0.01);
    for (let run = 0; run < WINDOW_RUNS - 1; run++) machine.watch.ranHere(1, 50);
    expect(told).toBe(0);
    machine.watch.moved('here');
    for (let run = 0; run < 2 * WINDOW_RUNS; run++) machine.run(1, 50);
    expect(told).toBe(1);
  });

  it('moves no more often than the logarithm of the runs, when a model is slow here and quick there', () => {
    const machine = new Machine();
    let moves = 0;
    const runs = 1_000_000;
    for (let run = 0; run < runs; run++) {
      if (!machine.run(1, machine.watch.place === 'here' ? 5 : 0.1)) continue;
      moves++;
      machine.watch.moved(machine.watch.place === 'here' ? 'worker' : 'here');
    }
    expect(moves).toBeGreaterThan(10);
    expect(moves).toBeLessThanOrEqual(2 * Math.log2(runs / WINDOW_RUNS));
  });
});
