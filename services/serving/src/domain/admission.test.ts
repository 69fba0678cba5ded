import { expect, it } from 'vitest';
import { Admission } from './admission.js';

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
