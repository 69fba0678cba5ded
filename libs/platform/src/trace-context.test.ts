import { expect, it } from 'vitest';
import { newTraceparent, parseTraceparent } from './trace-context.js';

it('never gives two chains the same trace or span', () => {
  const identities = Array.from({ length: 1_000 }, () => parseTraceparent(newTraceparent())!);
  expect(new Set(identities.map(({ traceId }) => traceId)).size).toBe(1_000);
  expect(new Set(identities.map(({ spanId }) => spanId)).size).toBe(1_000);
});

it('reads what it writes, and says whether the trace is sampled', () => {
  expect(parseTraceparent(newTraceparent(true))).toMatchObject({ sampled: true });
  expect(parseTraceparent(newTraceparent())).toMatchObject({ sampled: false });
});

it.each([
  ['no header', undefined],
  ['another version', '01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'],
  ['a trace id of zeros', '00-00000000000000000000000000000000-00f067aa0ba902b7-01'],
  ['a span id of zeros', '00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01'],
  ['capitals', '00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01'],
])('ignores %s, as the specification tells receivers to', (_, header) => {
  expect(parseTraceparent(header)).toBeUndefined();
});
