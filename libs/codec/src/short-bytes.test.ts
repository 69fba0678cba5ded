import { describe, expect, it } from 'vitest';
import { ProtoWriter } from './writer.js';
import { ShortBytes } from './short-bytes.js';

describe('a text in memory that is used again', () => {
  it.each(['', 'a', 'x'.repeat(300), 'préd', '€'.repeat(50), '😀 and more', '\ufeffbom', 'lone \ud800 end'])(
    'keeps %j as UTF-8',
    (given) => {
      const expected = Buffer.from(given);
      const text = ShortBytes.ofText('what stood there before, which is longer than some');
      text.setText(given);
      expect(Buffer.from(text.bytes).subarray(0, text.length).equals(expected)).toBe(true);
      expect(text.toString()).toBe(expected.toString());

      const copy = new ShortBytes();
      copy.set(Buffer.concat([Buffer.from('before'), expected, Buffer.from('behind')]), 6, 6 + expected.length);
      expect(copy.toString()).toBe(expected.toString());

      const [plain, written] = [new ProtoWriter(), new ProtoWriter(1)];
      plain.string(given);
      written.delimitedShort(text);
      expect(Buffer.from(written.finish()).equals(Buffer.from(plain.finish()))).toBe(true);

      text.clear();
      expect(text.toString()).toBe('');
    },
  );
});
