import { describe, expect, it } from 'vitest';
import { nextRunState, RUN_EVENTS, RUN_STATES, RUN_TRANSITIONS } from './run-state.js';

/** Every legal step, written a second time by hand; whatever is not here must be illegal. */
const LEGAL = new Map([
  ['queued admit', 'admitted'],
  ['queued fail', 'failed'],
  ['queued cancel', 'cancelled'],
  ['admitted start', 'running'],
  ['admitted requeue', 'queued'],
  ['admitted fail', 'failed'],
  ['admitted cancel', 'cancelled'],
  ['running requeue', 'queued'],
  ['running succeed', 'succeeded'],
  ['running fail', 'failed'],
  ['running kill', 'killed'],
  ['running cancel', 'cancelled'],
]);

describe('run states', () => {
  it('answers every pair of state and event exactly as the list of legal steps says', () => {
    for (const state of RUN_STATES) {
      expect(Object.keys(RUN_TRANSITIONS[state]).sort()).toEqual([...RUN_EVENTS].sort());
      for (const event of RUN_EVENTS)
        expect([state, event, nextRunState(state, event)]).toEqual([state, event, LEGAL.get(`${state} ${event}`) ?? 'illegal']);
    }
  });

  it.each(['succeeded', 'failed', 'killed', 'cancelled'] as const)('never leaves %s', (state) => {
    expect(RUN_EVENTS.map((event) => nextRunState(state, event))).toEqual(RUN_EVENTS.map(() => 'illegal'));
  });
});
