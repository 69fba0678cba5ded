import { expect, it } from 'vitest';
import { formatTable } from './table.js';

it('aligns texts to the left and numbers to the right', () => {
  expect(
    formatTable(
      ['name', 'n'],
      [
        ['a', 5],
        ['long', 1234],
      ],
    ),
  ).toBe('name     n\na        5\nlong  1234');
});
