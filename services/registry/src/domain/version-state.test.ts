import { describe, expect, it } from 'vitest';
import { nextVersionState, VERSION_EVENTS, VERSION_STATES, VERSION_TRANSITIONS } from './version-state.js';
import { isAliasName, TRAFFIC_ALIASES } from './aliases.js';

/** Every legal step, written a second time by hand; whatever is not here must be illegal. */
const LEGAL = new Map([
  ['registered evaluate', 'evaluated'],
  ['evaluated bless', 'blessed'],
  ['evaluated reject', 'rejected'],
  ['blessed startShadow', 'shadow'],
  ['blessed startCanary', 'canary'],
  ['blessed promote', 'champion'],
  ['blessed archive', 'archived'],
  ['shadow startCanary', 'canary'],
  ['shadow withdraw', 'blessed'],
  ['shadow promote', 'champion'],
  ['shadow archive', 'archived'],
  ['canary startShadow', 'shadow'],
  ['canary withdraw', 'blessed'],
  ['canary promote', 'champion'],
  ['canary archive', 'archived'],
  ['champion replace', 'archived'],
  ['archived startShadow', 'shadow'],
  ['archived startCanary', 'canary'],
  ['archived promote', 'champion'],
]);

describe('version states', () => {
  it('answers every pair of state and event exactly as the list of legal steps says', () => {
    for (const state of VERSION_STATES) {
      expect(Object.keys(VERSION_TRANSITIONS[state]).sort()).toEqual([...VERSION_EVENTS].sort());
      for (const event of VERSION_EVENTS)
        expect([state, event, nextVersionState(state, event)]).toEqual([state, event, LEGAL.get(`${state} ${event}`) ?? 'illegal']);
    }
  });

  it('has no path from rejected to anything, and none to champion that avoids blessed', () => {
    const reach = (from: string, without: string): Set<string> => {
      const seen = new Set<string>([from]);
      for (const state of seen) {
        if (state === without) continue;
        for (const next of Object.values(VERSION_TRANSITIONS[state as keyof typeof VERSION_TRANSITIONS]))
          if (next !== 'illegal') seen.add(next);
      }
      return seen;
    };
    expect([...reach('rejected', '')]).toEqual(['rejected']);
    expect(reach('registered', 'blessed').has('champion')).toBe(false);
  });

  it('gives every traffic alias steps that the table allows from blessed, and a way back out', () => {
    for (const { enter, leave, state } of TRAFFIC_ALIASES.values()) {
      expect(nextVersionState('blessed', enter)).toBe(state);
      expect(nextVersionState(state, leave)).not.toBe('illegal');
    }
  });

  it('keeps words that look like version numbers out of the aliases', () => {
    expect(['champion', 'canary', 'team-a', 'v', 'vNext'].map(isAliasName)).toEqual([true, true, true, true, true]);
    expect(['latest', 'v7', '', '7', 'a b', 'x'.repeat(64)].map(isAliasName)).toEqual([false, false, false, false, false, false]);
  });
});
