import { expect, it } from 'vitest';
import { ShortBytes } from '@headrace/codec/short-bytes';
import { PredictionIds } from './prediction-ids.js';

it('makes distinct UUIDs of version 7 that sort by time, also when the clock steps back', () => {
  const ids = new PredictionIds(Uint8Array.of(255, 2, 3, 4, 5));
  const made: string[] = [];
  for (let i = 0; i < 5000; i++) made.push(ids.next(1_700_000_000_000 + Math.floor(i / 100) - (i === 4321 ? 500 : 0)));
  expect(new Set(made).size).toBe(5000);
  expect([...made].sort()).toEqual(made);
  for (const id of made) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  const text = new ShortBytes();
  ids.nextInto(1_700_000_000_050, text);
  expect(text.toString() > made.at(-1)!).toBe(true);
  expect(text.toString()).toHaveLength(36);
  expect(made[0]!.startsWith('018bcfe5-6800-7')).toBe(true);
});
