import { expect, it } from 'vitest';
import { AskedHeaders } from './request-head.js';

it('finds a header again by the name that asked for it, and one that is not there, without end', () => {
  const head = { names: [':path', 'traceparent', 'x-one', 'x-one'], values: ['/a', 'trace', 'first', 'second'] };
  const asked = new AskedHeaders();
  for (let round = 0; round < 3; round++) {
    expect(asked.valueOf('traceparent', head)).toBe('trace');
    expect(asked.valueOf('x-one', head)).toBe('first');
    // Not the constants of before: put together here.
    expect(asked.valueOf(['trace', 'parent'].join(''), head)).toBe('trace');
    expect(asked.valueOf('absent', head)).toBeUndefined();
    // More names than are kept.
    for (let i = 0; i < 20; i++) expect(asked.valueOf(`made-up-${i}`, head)).toBeUndefined();
    expect(asked.valueOf(':path', head)).toBe('/a');
  }
});
