import { ProtoWriter } from '@headrace/codec/writer';
import { seededRandom } from '@headrace/base/random';
import { describe, expect, it } from 'vitest';
import { HeaderFields, HpackDecoder, HpackError } from './hpack-decoder.js';
import { HpackEncoder } from './hpack-encoder.js';
import { huffmanDecode, huffmanEncode, huffmanLength } from './hpack-huffman.js';

type Field = readonly [name: string, value: string];

/** RFC 7541 appendix C: blocks of one connection in order, with the fields that each must give. */
const COOKIE = 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1';
const REQUESTS: Field[][] = [
  [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', '/'],
    [':authority', 'www.example.com'],
  ],
  [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', '/'],
    [':authority', 'www.example.com'],
    ['cache-control', 'no-cache'],
  ],
  [
    [':method', 'GET'],
    [':scheme', 'https'],
    [':path', '/index.html'],
    [':authority', 'www.example.com'],
    ['custom-key', 'custom-value'],
  ],
];
const RESPONSES: Field[][] = [
  [
    [':status', '302'],
    ['cache-control', 'private'],
    ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
    ['location', 'https://www.example.com'],
  ],
  [
    [':status', '307'],
    ['cache-control', 'private'],
    ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
    ['location', 'https://www.example.com'],
  ],
  [
    [':status', '200'],
    ['cache-control', 'private'],
    ['date', 'Mon, 21 Oct 2013 20:13:22 GMT'],
    ['location', 'https://www.example.com'],
    ['content-encoding', 'gzip'],
    ['set-cookie', COOKIE],
  ],
];
const C4 = ['828684418cf1e3c2e5f23a6ba0ab90f4ff', '828684be5886a8eb10649cbf', '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf'];
const VECTORS: readonly (readonly [section: string, tableBytes: number, blocks: readonly string[], fields: Field[][]])[] = [
  ['C.2.1 literal with indexing', 4096, ['400a637573746f6d2d6b65790d637573746f6d2d686561646572'], [[['custom-key', 'custom-header']]]],
  ['C.2.2 literal without indexing', 4096, ['040c2f73616d706c652f70617468'], [[[':path', '/sample/path']]]],
  ['C.2.3 literal never indexed', 4096, ['100870617373776f726406736563726574'], [[['password', 'secret']]]],
  ['C.2.4 indexed', 4096, ['82'], [[[':method', 'GET']]]],
  [
    'C.3 requests',
    4096,
    [
      '828684410f7777772e6578616d706c652e636f6d',
      '828684be58086e6f2d6361636865',
      '828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565',
    ],
    REQUESTS,
  ],
  ['C.4 requests, Huffman', 4096, C4, REQUESTS],
  [
    'C.5 responses with eviction',
    256,
    [
      '4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d',
      '4803333037c1c0bf',
      '88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31',
    ],
    RESPONSES,
  ],
  [
    'C.6 responses with eviction, Huffman',
    256,
    [
      '488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3',
      '4883640effc1c0bf',
      '88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007',
    ],
    RESPONSES,
  ],
];

it.each(VECTORS)('decodes RFC 7541 %s', (_, tableBytes, blocks, expected) => {
  const decoder = new HpackDecoder(4096, tableBytes);
  blocks.forEach((block, i) => expect(decode(decoder, Buffer.from(block, 'hex'))).toEqual(expected[i]));
});

it('encodes the requests of RFC 7541 C.4 to the very bytes of the RFC', () => {
  const encoder = new HpackEncoder();
  REQUESTS.forEach((fields, i) => expect(encode(encoder, fields).toString('hex')).toBe(C4[i]));
});

it('decodes what it encodes over a long connection, whatever the peer does to the table size', () => {
  const random = seededRandom(7);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
  const text = (): string =>
    Array.from({ length: random() * (random() < 0.05 ? 3000 : 40) }, () =>
      String.fromCharCode(random() < 0.9 ? 32 + random() * 95 : random() * 256),
    ).join('');
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder(8192);
  const seen: Field[] = REQUESTS.flat();
  for (let round = 0; round < 3000; round++) {
    const fields = Array.from({ length: random() * 12 }, (): Field =>
      random() < 0.7 ? pick(seen) : [pick(['x', 'content-type', 'grpc-timeout', text().toLowerCase() || 'y']), text()],
    );
    seen.push(...fields.filter(() => random() < 0.1));
    if (random() < 0.05) encoder.setPeerTableSize(pick([0, 100, 1000, 4096, 65_536]));
    expect(decode(decoder, encode(encoder, fields))).toEqual(fields);
  }
});

it('gives a block that changes nothing when fields repeat, and tells so by the version', () => {
  const encoder = new HpackEncoder();
  const fields: Field[] = [
    [':method', 'POST'],
    [':path', '/a.B/C'],
    ['te', 'trailers'],
    ['grpc-timeout', '20m'],
  ];
  const first = encode(encoder, fields);
  const version = encoder.version;
  const second = encode(encoder, fields);
  expect(encoder.version).toBe(version);
  expect(second.length).toBeLessThan(first.length * 0.6);
  encoder.setPeerTableSize(0);
  expect(encoder.version).not.toBe(version);
});

describe('hostile blocks', () => {
  const refused: readonly (readonly [string, string])[] = [
    ['index 0', '80'],
    ['an index behind the table', 'be'],
    ['an index far behind the table', 'ffffff7f'],
    ['an integer that never ends', 'ffffffffffffff'],
    ['a cut integer', 'ff'],
    ['a cut string', '00056162'],
    ['a missing value', '000161'],
    ['a table larger than allowed', '3fe2ff03'],
    ['a table size update behind a field', '8220'],
    ['Huffman padding of zeros', '0081000161'],
    ['Huffman padding of a whole byte', '00821fff0161'],
    ['the end-of-string symbol', '0084ffffffff0161'],
  ];
  it.each(refused)('%s is a connection error', (_, block) => {
    expect(() => decode(new HpackDecoder(4096), Buffer.from(block, 'hex'))).toThrow(HpackError);
  });

  it('a literal above the limit is refused before it is stored', () => {
    const encoder = new HpackEncoder();
    expect(() => decode(new HpackDecoder(100), encode(encoder, [['x', 'é'.repeat(101)]]))).toThrow(/above 100/);
  });

  it('a list far beyond the limit is counted, not stored (a few bytes can name a large entry a thousand times)', () => {
    const decoder = new HpackDecoder(8000);
    const encoder = new HpackEncoder();
    decode(decoder, encode(encoder, [['x', 'v'.repeat(900)]]));
    const fields = new HeaderFields(16_384);
    decoder.decode(Buffer.alloc(10_000, 0xbe), 0, 10_000, fields);
    expect(fields.tooLarge).toBe(true);
    expect(fields.count).toBeLessThan(20);
    expect(fields.listBytes).toBe(10_000 * 933);
  });

  it('random bytes decode or are refused, and nothing else happens', () => {
    const random = seededRandom(11);
    let decoder = new HpackDecoder(4096);
    for (let round = 0; round < 60_000; round++) {
      const block = Buffer.from(Uint8Array.from({ length: random() * 24 }, () => (random() < 0.3 ? 0x40 + random() * 16 : random() * 256)));
      try {
        decode(decoder, block);
      } catch (error) {
        expect(error).toBeInstanceOf(HpackError);
        decoder = new HpackDecoder(4096);
      }
    }
  });
});

it('codes every byte string to Huffman and back, and rejects each truncation that is not padding', () => {
  const random = seededRandom(13);
  const out = Buffer.alloc(4096);
  const back = Buffer.alloc(4096);
  for (let round = 0; round < 3000; round++) {
    const text = String.fromCharCode(
      ...Array.from({ length: random() * 60 }, () => (random() < 0.6 ? 32 + random() * 95 : random() * 256)),
    );
    const length = huffmanEncode(text, out, 0);
    expect(length).toBe(huffmanLength(text));
    expect(back.toString('latin1', 0, huffmanDecode(out, 0, length, back))).toBe(text);
  }
  expect(huffmanDecode(Buffer.from('fffffffc', 'hex'), 0, 4, back)).toBe(-1);
  expect(huffmanDecode(Buffer.from('1c'.repeat(100), 'hex'), 0, 100, Buffer.alloc(10))).toBe(-1);
});

function decode(decoder: HpackDecoder, block: Buffer): Field[] {
  const fields = new HeaderFields(1 << 20);
  decoder.decode(block, 0, block.length, fields);
  return Array.from({ length: fields.count }, (__, i): Field => [fields.names[i]!, fields.values[i]!]);
}

function encode(encoder: HpackEncoder, fields: readonly Field[]): Buffer {
  const out = new ProtoWriter(8);
  encoder.beginBlock(out);
  for (const [name, value] of fields) encoder.field(name, value, out);
  return Buffer.from(out.finish());
}
