import { seededRandom } from '@headrace/base/random';
import { expect, it } from 'vitest';
import { fuzzConnection, fuzzHpack, fuzzProtobuf } from './fuzz.js';

/** 200,000 inputs in all; `bench/wire/fuzz.ts` runs any number with any seed. */
it('a server connection survives 40,000 nearly right frames and leaks no buffer', async () => {
  const report = await fuzzConnection(seededRandom(2026), 40_000);
  expect(report.connectionsEnded).toBeGreaterThan(100);
  expect(report.callsStarted).toBeGreaterThan(5000);
});

it('the HPACK decoder decodes or refuses 80,000 blocks', () => {
  fuzzHpack(seededRandom(7541), 80_000);
});

it('the protobuf reader reads or refuses 80,000 messages, whatever it is asked for', () => {
  fuzzProtobuf(seededRandom(3), 80_000);
});
