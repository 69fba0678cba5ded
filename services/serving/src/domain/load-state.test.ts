import { describe, expect, it } from 'vitest';
import { LOAD_STATES, stepLoad, type LoadEvent, type LoadState } from './load-state.js';

const EVENTS: readonly LoadEvent[] = ['start', 'verified', 'routed', 'retired', 'drained', 'failed'];

describe('load states', () => {
  it('walk the whole life of a version that serves and is replaced', () => {
    const walk: LoadEvent[] = ['start', 'verified', 'routed', 'retired', 'drained'];
    expect(walk.reduce<LoadState[]>((states, event) => [...states, stepLoad(states.at(-1)!, event)], ['pending'])).toEqual([
      'pending',
      'loading',
      'standby',
      'loaded',
      'draining',
      'unloaded',
    ]);
  });

  it('answer every event in every state, and end in unloaded only', () => {
    for (const [state, row] of Object.entries(LOAD_STATES)) {
      expect(Object.keys(row).sort()).toEqual([...EVENTS].sort());
      const isEnd = Object.values(row).every((next) => next === null);
      expect(isEnd).toBe(state === 'unloaded');
    }
  });

  it('let traffic reach a version only through standby', () => {
    const into = (target: LoadState): string[] =>
      Object.entries(LOAD_STATES)
        .filter(([, row]) => Object.values(row).includes(target))
        .map(([state]) => state);
    expect(into('loaded')).toEqual(['standby']);
    expect(into('standby')).toEqual(['loading']);
  });

  it('never take a serving version down by a failure', () => {
    expect(() => stepLoad('loaded', 'failed')).toThrow('a loaded version cannot take the step failed');
    expect(() => stepLoad('draining', 'failed')).toThrow();
  });
});
