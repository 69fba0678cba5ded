import { seededRandom } from '@headrace/base/random';
import { describe, expect, it } from 'vitest';
import { compilePattern, patternFault, PATTERN_TEXT_MAX } from './safe-pattern.js';

describe('patterns', () => {
  it.each(['[A-Z]{2}\\d+', 'a|b|cd', '(foo|bar)?', '\\(+', '[(+*]+x', '\\d{4}-\\d{2}', '(?:ab){3}', '.+@.+\\..+', 'a{2,}?b'])(
    'takes %s',
    (pattern) => {
      expect(patternFault(pattern)).toBeUndefined();
    },
  );

  it.each(['(a+)+', '(a|a)*', '((a*))+', '(?:x|y)+', '(a)\\1', '(?=a)b', '(?<!a)b', '(', '.*.*.*.*', '([a-z]+)*!', '(a{2,3})*'])(
    'refuses %s',
    (pattern) => {
      expect(patternFault(pattern)).toBeTypeOf('string');
    },
  );

  it('match the whole text', () => {
    expect(compilePattern('a|b').test('ab')).toBe(false);
    expect(compilePattern('a|b').test('b')).toBe(true);
  });

  it('never take long on the longest text, whatever was let through', () => {
    const random = seededRandom(5);
    const parts = ['a', 'b', '.', '[ab]', '(', ')', '|', '*', '+', '?', '{2,}', '{1,3}', '(?:'];
    let slowestMs = 0;
    let taken = 0;
    for (let n = 0; n < 20_000; n++) {
      const pattern = Array.from({ length: 1 + Math.floor(random() * 9) }, () => parts[Math.floor(random() * parts.length)]!).join('');
      if (patternFault(pattern)) continue;
      taken++;
      const startedAt = performance.now();
      compilePattern(`${pattern}!`).test('a'.repeat(PATTERN_TEXT_MAX));
      slowestMs = Math.max(slowestMs, performance.now() - startedAt);
    }
    expect(taken).toBeGreaterThan(1000);
    expect(slowestMs).toBeLessThan(1000);
  });
});
