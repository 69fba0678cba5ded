import { expect, it } from 'vitest';
import { eventually } from './eventually.js';

it('returns the first value that is neither false nor thrown', async () => {
  const answers = [
    () => false as const,
    () => {
      throw new Error('not yet');
    },
    () => 'done' as const,
  ];
  expect(await eventually('an answer comes', () => answers.shift()!(), { everyMs: 1 })).toBe('done');
  expect(answers).toEqual([]);
});

it('fails after its bound with what was expected and the last reason', async () => {
  const asked = eventually('the lamp is green', () => expect('red').toBe('green'), { withinMs: 30, everyMs: 5 });
  await expect(asked).rejects.toThrow(/not within 30 ms \(\d+ tries\): the lamp is green: .*expected 'red' to be 'green'/s);
});

it('asks at least once even when no time is given', async () => {
  expect(await eventually('it is asked', () => 7, { withinMs: 0 })).toBe(7);
});
