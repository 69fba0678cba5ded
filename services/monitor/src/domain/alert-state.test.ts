import { describe, expect, it } from 'vitest';
import { seededRandom } from '@headrace/base/random';
import { ALERT_EVENTS, ALERT_STATES, ALERT_STEPS, isOpen, type AlertState } from './alert-state.js';

describe('the alert state machine', () => {
  it('is complete: every state answers every event', () => {
    for (const state of ALERT_STATES) expect(Object.keys(ALERT_STEPS[state]).sort()).toEqual([...ALERT_EVENTS].sort());
  });

  it('asks for a retraining from firing only', () => {
    expect(ALERT_STATES.filter((state) => ALERT_STEPS[state].acted !== null)).toEqual(['firing']);
  });

  it('ends in resolved, from which nothing leads back, and which every open state reaches when it is clean', () => {
    expect(Object.values(ALERT_STEPS.resolved)).toEqual([null, null, null, null]);
    for (const state of ALERT_STATES.filter(isOpen)) expect(ALERT_STEPS[state].cleared).toBe('resolved');
  });

  it('never fires a muted alert, whatever comes (seeded walks)', () => {
    const random = seededRandom(7);
    for (let walk = 0; walk < 500; walk++) {
      let state: AlertState = 'suspected';
      let muted = false;
      for (let i = 0; i < 20; i++) {
        const event = ALERT_EVENTS[Math.floor(random() * ALERT_EVENTS.length)]!;
        const next: AlertState | null = ALERT_STEPS[state][event];
        if (next === null) continue;
        muted ||= next === 'muted';
        if (muted) expect(['muted', 'resolved']).toContain(next);
        state = next;
      }
    }
  });
});
