import { assert } from '@headrace/base/assert';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { fileURLToPath } from 'node:url';
import { zstdDecompressSync } from 'node:zlib';

/** US Census, American Community Survey, Massachusetts 2015-2018; see the README beside. */
const FILE = fileURLToPath(new URL('../people.parquet', import.meta.url));

export const FEATURES = [
  'AGEP',
  'SCHL',
  'MAR',
  'RELP',
  'DIS',
  'ESP',
  'CIT',
  'MIG',
  'MIL',
  'ANC',
  'NATIVITY',
  'DEAR',
  'DEYE',
  'DREM',
  'SEX',
  'RAC1P',
] as const;
export type FeatureName = (typeof FEATURES)[number];

export interface Person {
  readonly id: string;
  readonly features: Readonly<Record<FeatureName, number>>;
  /** 1 when the person works. */
  readonly employed: number;
}

/** Everyone of one survey year, in the order of the file. */
export async function peopleOf(year: number): Promise<Person[]> {
  const rows = await parquetReadObjects({
    file: await asyncBufferFromFile(FILE),
    columns: ['person_id', 'year', ...FEATURES, 'employed'],
    compressors: { ZSTD: (bytes) => zstdDecompressSync(bytes) },
  });
  const people = rows
    .filter((row) => Number(row.year) === year)
    .map((row) => ({
      id: String(row.person_id),
      features: Object.fromEntries(FEATURES.map((name) => [name, Number(row[name])])) as Record<FeatureName, number>,
      employed: Number(row.employed),
    }));
  assert(people.length > 0, `people.parquet holds the year ${year}`);
  return people;
}
