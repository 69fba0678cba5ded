import { describe, expect, it } from 'vitest';
import { mayRaise, planAlert, type AlertStep, type Judged, type OpenAlert, type Traffic } from './alert-plan.js';

const CHAMPION_1: Traffic = { champion: 1, serving: 1 };
const CHAMPION_2: Traffic = { champion: 2, serving: 2 };
const judged = (version: number, verdict: Judged['verdict'], standing: Judged['standing']): Judged => ({ version, verdict, standing });
const NONE: AlertStep = { kind: 'none' };

describe('what a judgement does to the alert of its subject', () => {
  const table: [string, OpenAlert | undefined, Judged, Traffic, AlertStep][] = [
    ['a first breach is a suspicion', undefined, judged(1, 'breach', 'open'), CHAMPION_1, { kind: 'raise', state: 'suspected' }],
    ['with k = 1 it fires at once', undefined, judged(1, 'breach', 'persisted'), CHAMPION_1, { kind: 'raise', state: 'firing' }],
    ['a clean one raises nothing', undefined, judged(1, 'clean', 'cleared'), CHAMPION_1, NONE],
    ['an unclear one raises nothing, also after breaches', undefined, judged(1, 'unclear', 'persisted'), CHAMPION_1, NONE],
    ['old data of a replaced version raises nothing', undefined, judged(1, 'breach', 'persisted'), CHAMPION_2, NONE],
    [
      'a canary, newer than the champion, may raise',
      undefined,
      judged(3, 'breach', 'open'),
      CHAMPION_2,
      { kind: 'raise', state: 'suspected' },
    ],
    [
      'a version that nobody named yet may raise',
      undefined,
      judged(1, 'breach', 'open'),
      { champion: 0, serving: 0 },
      { kind: 'raise', state: 'suspected' },
    ],
    [
      'a suspicion that persists fires with fresh numbers',
      { version: 1, state: 'suspected' },
      judged(1, 'breach', 'persisted'),
      CHAMPION_1,
      { kind: 'change', state: 'firing', refresh: true },
    ],
    [
      'a suspicion that is seen again keeps its numbers fresh',
      { version: 1, state: 'suspected' },
      judged(1, 'breach', 'open'),
      CHAMPION_1,
      { kind: 'change', state: 'suspected', refresh: true },
    ],
    ['a firing one does not fire again', { version: 1, state: 'firing' }, judged(1, 'breach', 'persisted'), CHAMPION_1, NONE],
    ['an acted one does not fire again', { version: 1, state: 'acted' }, judged(1, 'breach', 'persisted'), CHAMPION_1, NONE],
    ['a muted one stays muted', { version: 1, state: 'muted' }, judged(1, 'breach', 'persisted'), CHAMPION_1, NONE],
    ['one odd clean window ends nothing', { version: 1, state: 'firing' }, judged(1, 'clean', 'open'), CHAMPION_1, NONE],
    [
      'its own version clean again resolves it',
      { version: 1, state: 'acted' },
      judged(1, 'clean', 'cleared'),
      CHAMPION_1,
      { kind: 'change', state: 'resolved', refresh: false },
    ],
    [
      'a newer version that serves and is clean resolves it',
      { version: 1, state: 'acted' },
      judged(2, 'clean', 'cleared'),
      CHAMPION_2,
      { kind: 'change', state: 'resolved', refresh: false },
    ],
    [
      'so it does when only the champion changed since',
      { version: 1, state: 'acted' },
      judged(2, undefined, 'cleared'),
      CHAMPION_2,
      { kind: 'change', state: 'resolved', refresh: false },
    ],
    ['a clean canary resolves nothing', { version: 1, state: 'acted' }, judged(2, 'clean', 'cleared'), CHAMPION_1, NONE],
    ['an older version says nothing about a newer alert', { version: 2, state: 'firing' }, judged(1, 'clean', 'cleared'), CHAMPION_1, NONE],
    [
      'a breach of the newer version keeps the alert open',
      { version: 1, state: 'acted' },
      judged(2, 'breach', 'persisted'),
      CHAMPION_2,
      NONE,
    ],
    [
      'a suspicion of the old version fires by the new one',
      { version: 1, state: 'suspected' },
      judged(2, 'breach', 'persisted'),
      CHAMPION_2,
      { kind: 'change', state: 'firing', refresh: true },
    ],
    [
      'a muted one is resolved when clean',
      { version: 1, state: 'muted' },
      judged(1, 'clean', 'cleared'),
      CHAMPION_1,
      { kind: 'change', state: 'resolved', refresh: false },
    ],
  ];
  it.each(table)('%s', (_name, open, verdict, traffic, expected) => {
    expect(planAlert(open, verdict, traffic)).toEqual(expected);
  });

  it('lets the champion raise after a rollback to an old version', () => {
    expect(mayRaise(1, { champion: 1, serving: 2 })).toBe(true);
    expect(mayRaise(1, { champion: 3, serving: 2 })).toBe(false);
  });
});
