import { expect, it } from 'vitest';
import { memberOf } from './flights.js';
import { aucOf, rmseOf } from './predict-flights.js';

it('finds a file in a tar archive by its header', () => {
  const entry = (name: string, body: string): Buffer => {
    const header = Buffer.alloc(512);
    header.write(name, 0);
    header.write(body.length.toString(8).padStart(11, '0'), 124);
    return Buffer.concat([header, Buffer.from(body), Buffer.alloc((512 - (body.length % 512)) % 512)]);
  };
  const tar = Buffer.concat([entry('package/a', 'x'.repeat(700)), entry('package/b', 'wanted'), Buffer.alloc(1024)]);
  expect(memberOf(tar, 'package/b').toString()).toBe('wanted');
  expect(() => memberOf(tar, 'package/c')).toThrow(/has no package\/c/);
});

it('counts pairs for the AUC and squares for the RMSE', () => {
  const scored = [
    { score: 0.9, late: 1 },
    { score: 0.4, late: 1 },
    { score: 0.4, late: 0 },
    { score: 0.1, late: 0 },
  ];
  expect(aucOf(scored)).toBe(0.875);
  expect(rmseOf([3, -4])).toBeCloseTo(Math.sqrt(12.5), 12);
});
