/**
 * The Huffman code of HPACK (RFC 7541 appendix B). It is canonical: codes of one length are consecutive in symbol order, so the lengths
 * alone define it. Symbol 256 is the end-of-string mark, whose leading bits (all ones) pad the last byte.
 */
const SYMBOLS_BY_LENGTH: readonly (readonly [bits: number, symbols: string])[] = [
  [5, '48-50 97 99 101 105 111 115-116'],
  [6, '32 37 45-47 51-57 61 65 95 98 100 102-104 108-110 112 114 117'],
  [7, '58 66-87 89 106-107 113 118-122'],
  [8, '38 42 44 59 88 90'],
  [10, '33-34 40-41 63'],
  [11, '39 43 124'],
  [12, '35 62'],
  [13, '0 36 64 91 93 126'],
  [14, '94 125'],
  [15, '60 96 123'],
  [19, '92 195 208'],
  [20, '128 130-131 162 184 194 224 226'],
  [21, '153 161 167 172 176-177 179 209 216-217 227 229-230'],
  [22, '129 132-134 136 146 154 156 160 163-164 169-170 173 178 181 185-187 189-190 196 198 228 232-233'],
  [23, '1 135 137-141 143 147 149-152 155 157-158 165-166 168 174-175 180 182-183 188 191 197 231 239'],
  [24, '9 142 144-145 148 159 171 206 215 225 236-237'],
  [25, '199 207 234-235'],
  [26, '192-193 200-202 205 210 213 218-219 238 240 242-243 255'],
  [27, '203-204 211-212 214 221-223 241 244-248 250-254'],
  [28, '2-8 11-12 14-21 23-31 127 220 249'],
  [30, '10 13 22 256'],
];
const END_OF_STRING = 256;

const codeOf = new Uint32Array(257);
const bitsOf = new Uint8Array(257);
assignCanonicalCodes();

/**
 * Decoder automaton over half bytes: 256 inner nodes of the code tree x 16 inputs. A cell holds the next node, the symbol that was completed on
 * the way (a code has at least 5 bits, so at most one) and whether the string may end there.
 */
const NEXT_MASK = 0xff;
const SYMBOL_SHIFT = 8;
const EMITS = 1 << 16;
const MAY_END = 1 << 17;
const INVALID = 1 << 18;
const automaton = buildAutomaton();

/** Decodes into `out` from its start and returns the length, or -1 when the bytes are no Huffman string or `out` is too small. */
export function huffmanDecode(bytes: Uint8Array, start: number, end: number, out: Uint8Array): number {
  let length = 0;
  let cell = MAY_END;
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    cell = automaton[((cell & NEXT_MASK) << 4) | (byte >> 4)]!;
    if ((cell & (EMITS | INVALID)) !== 0) {
      if ((cell & INVALID) !== 0 || length === out.length) return -1;
      out[length++] = (cell >> SYMBOL_SHIFT) & 0xff;
    }
    cell = automaton[((cell & NEXT_MASK) << 4) | (byte & 15)]!;
    if ((cell & (EMITS | INVALID)) !== 0) {
      if ((cell & INVALID) !== 0 || length === out.length) return -1;
      out[length++] = (cell >> SYMBOL_SHIFT) & 0xff;
    }
  }
  return (cell & MAY_END) !== 0 ? length : -1;
}

/** Bytes that the text (one byte per character) takes when it is Huffman coded. */
export function huffmanLength(text: string): number {
  let bits = 0;
  for (let i = 0; i < text.length; i++) bits += bitsOf[text.charCodeAt(i) & 0xff]!;
  return (bits + 7) >> 3;
}

/** Writes the coded text at `pos` and returns the position behind it; `out` must have room for `huffmanLength`. */
export function huffmanEncode(text: string, out: Uint8Array, pos: number): number {
  let pending = 0;
  let pendingBits = 0;
  for (let i = 0; i < text.length; i++) {
    const symbol = text.charCodeAt(i) & 0xff;
    let bits = bitsOf[symbol]!;
    const code = codeOf[symbol]!;
    // At most 7 bits are pending; a long code goes in two parts, so that 32-bit arithmetic is enough.
    if (bits > 16) {
      pending = (pending << (bits - 16)) | (code >>> 16);
      pendingBits += bits - 16;
      bits = 16;
      for (; pendingBits >= 8; pendingBits -= 8) out[pos++] = pending >>> (pendingBits - 8);
      pending &= (1 << pendingBits) - 1;
    }
    pending = (pending << bits) | (code & ((1 << bits) - 1));
    pendingBits += bits;
    for (; pendingBits >= 8; pendingBits -= 8) out[pos++] = pending >>> (pendingBits - 8);
    pending &= (1 << pendingBits) - 1;
  }
  if (pendingBits > 0) out[pos++] = (pending << (8 - pendingBits)) | (0xff >> pendingBits);
  return pos;
}

function assignCanonicalCodes(): void {
  let code = 0;
  let previousBits = 0;
  for (const [bits, symbols] of SYMBOLS_BY_LENGTH) {
    code *= 2 ** (bits - previousBits);
    previousBits = bits;
    for (const range of symbols.split(' ')) {
      const [first, last = first] = range.split('-').map(Number);
      for (let symbol = first!; symbol <= last!; symbol++) {
        codeOf[symbol] = code++;
        bitsOf[symbol] = bits;
      }
    }
  }
}

function buildAutomaton(): Int32Array {
  // Tree of pairs: child >= 0 is an inner node, ~child a symbol.
  const children: [number, number][] = [[0, 0]];
  for (let symbol = 0; symbol <= END_OF_STRING; symbol++) {
    let node = 0;
    for (let bit = bitsOf[symbol]! - 1; bit > 0; bit--) {
      const side = ((codeOf[symbol]! >>> bit) & 1) as 0 | 1;
      if (children[node]![side] === 0) children[node]![side] = children.push([0, 0]) - 1;
      node = children[node]![side];
    }
    children[node]![(codeOf[symbol]! & 1) as 0 | 1] = ~symbol;
  }
  const mayEnd = new Set([0]);
  for (let node = 0, ones = 0; ones < 7; ones++) mayEnd.add((node = children[node]![1]));
  const cells = new Int32Array(children.length * 16);
  for (let from = 0; from < children.length; from++) {
    for (let input = 0; input < 16; input++) cells[from * 16 + input] = walk(children, mayEnd, from, input);
  }
  return cells;
}

function walk(children: readonly [number, number][], mayEnd: ReadonlySet<number>, from: number, input: number): number {
  let node = from;
  let emitted = 0;
  for (let bit = 3; bit >= 0; bit--) {
    const child = children[node]![((input >> bit) & 1) as 0 | 1];
    if (child >= 0) node = child;
    else if (~child === END_OF_STRING) return INVALID;
    else {
      emitted = EMITS | (~child << SYMBOL_SHIFT);
      node = 0;
    }
  }
  return node | emitted | (mayEnd.has(node) ? MAY_END : 0);
}
