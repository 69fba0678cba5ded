import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seededRandom } from '@headrace/base/random';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readCsv } from './csv-reader.js';

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'headrace-csv-'))));
afterAll(() => rm(folder, { recursive: true }));

async function read(text: string): Promise<string[][]> {
  const path = join(folder, 'x.csv');
  await writeFile(path, text);
  const records: string[][] = [];
  for await (const batch of readCsv(path, 3)) records.push(...batch);
  return records;
}

it.each<[string, string, string[][]]>([
  [
    'plain records',
    'a,b\n1,2\n',
    [
      ['a', 'b'],
      ['1', '2'],
    ],
  ],
  [
    'a last record without an end',
    'a,b\n1,',
    [
      ['a', 'b'],
      ['1', ''],
    ],
  ],
  [
    'CRLF, a byte order mark and empty lines',
    '\uFEFFa,b\r\n\r\n1,2\r\n',
    [
      ['a', 'b'],
      ['1', '2'],
    ],
  ],
  ['quotes with commas, quotes and line ends', '"a,""b""\nc",d\n', [['a,"b"\nc', 'd']]],
  ['empty quoted fields', '"",x\n', [['', 'x']]],
])('reads %s', async (_name, text, records) => {
  expect(await read(text)).toEqual(records);
});

it('reads back any texts, across the chunks of the file', async () => {
  const random = seededRandom(5);
  const alphabet = ['a', 'é', ',', '"', '\n', ' ', '😀'];
  const textOf = (): string => Array.from({ length: Math.floor(random() * 8) }, () => alphabet[Math.floor(random() * 7)]!).join('');
  const records = Array.from({ length: 60_000 }, () => ['x', textOf(), textOf()]);
  const csv = records
    .map((record) => record.map((field) => (/[",\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field)).join(','))
    .join('\n');
  expect(await read(csv)).toEqual(records);
});

it('refuses a quote that is never closed', async () => {
  await expect(read('a\n"b')).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  await expect(read(`"${'b'.repeat(1_000_001)}`)).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
});
