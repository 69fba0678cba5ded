import { seededRandom } from '@headrace/base/random';
import { describe, expect, it } from 'vitest';
import { CsvRecords } from './csv-records.js';

const parse = (...pieces: string[]): string[][] => {
  const csv = new CsvRecords();
  return [...pieces.flatMap((piece) => csv.push(piece)), ...csv.end()];
};

describe('CSV', () => {
  it('reads quotes, commas and line ends inside them, and both line ends', () => {
    expect(parse('a,b\r\n"1,2","x ""y""\nz"\n,\n\n3,')).toEqual([
      ['a', 'b'],
      ['1,2', 'x "y"\nz'],
      ['', ''],
      ['3', ''],
    ]);
  });

  it('is the same in any pieces', () => {
    const random = seededRandom(4);
    const cells = ['', 'a', 'a,b', 'say "hi"', 'two\nlines', 'é😀', '\r\n', ' '];
    for (let n = 0; n < 200; n++) {
      const records = Array.from({ length: 5 }, () => Array.from({ length: 3 }, () => cells[Math.floor(random() * cells.length)]!));
      const text = records.map((record) => record.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(',')).join('\r\n');
      const pieces: string[] = [];
      const symbols = [...text];
      while (symbols.length > 0) pieces.push(symbols.splice(0, 1 + Math.floor(random() * 7)).join(''));
      expect(parse(...pieces)).toEqual(records);
    }
  });

  it('refuses a quote that is never closed', () => {
    expect(() => parse('a\n"b')).toThrow('inside a quoted field');
    expect(() => parse(`"${'x'.repeat(2_000_000)}`)).toThrow('more than 1048576 characters');
  });
});
