import { expect, it } from 'vitest';
import { Admission, ADMISSION_SHARES, type Priority } from './admission.js';

it('refuses the request past the bound at once, and takes the next after one left', () => {
  const admission = new Admission(2, 100);
  expect([admission.tryEnter(1), admission.tryEnter(1), admission.tryEnter(1)]).toEqual([true, true, false]);
  admission.leave(1);
  expect(admission.tryEnter(1)).toBe(true);
  expect(admission).toMatchObject({ requests: 2, rows: 2, refused: 1 });
});

it('bounds rows too, but never makes one large request impossible', () => {
  const admission = new Admission(10, 100);
  expect(admission.tryEnter(5000)).toBe(true);
  expect(admission.tryEnter(1)).toBe(false);
  admission.leave(5000);
  expect([admission.tryEnter(60), admission.tryEnter(60), admission.tryEnter(40)]).toEqual([true, false, true]);
});

it.each<[Priority, number]>([
  ['shadow', 25],
  ['low', 50],
  ['normal', 100],
  ['high', 125],
])('lets %s work in up to %i of a hundred, whatever the others are', (priority, bound) => {
  for (const other of Object.keys(ADMISSION_SHARES) as Priority[]) {
    const admission = new Admission(100, 1_000);
    let others = 0;
    while (others < bound - 1 && admission.tryEnter(1, other)) others++;
    const left = Array.from({ length: 200 }, () => admission.tryEnter(1, priority)).filter(Boolean).length;
    expect(others + left).toBe(bound);
  }
});

it('sheds low before normal before high as the rows fill up', () => {
  const admission = new Admission(1_000, 100);
  const fits = (): Priority[] =>
    (Object.keys(ADMISSION_SHARES) as Priority[]).filter((priority) => {
      const isIn = admission.tryEnter(1, priority);
      if (isIn) admission.leave(1);
      return isIn;
    });
  expect(fits()).toEqual(['shadow', 'low', 'normal', 'high']);
  admission.tryEnter(30, 'high');
  expect(fits()).toEqual(['low', 'normal', 'high']);
  admission.tryEnter(30, 'high');
  expect(fits()).toEqual(['normal', 'high']);
  admission.tryEnter(40, 'high');
  expect(fits()).toEqual(['high']);
  admission.tryEnter(25, 'high');
  expect(fits()).toEqual([]);
});
