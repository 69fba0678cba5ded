import { Injectable } from '@nestjs/common';
import { Postgres } from '@headrace/platform/postgres/postgres';
import { quoteName, rowTable } from '../domain/identifier.js';
import type { View } from '../domain/view.js';

const SAMPLES = 5;
/** Rows that are looked at, whatever the size of the table. */
const ROWS_SEEN = 500;
const SAMPLE_CHARACTERS = 100;

/** Some stored values, so that a person sees what a feature looks like. */
@Injectable()
export class SampleValues {
  constructor(private readonly postgres: Postgres) {}

  /** Different values as JSON, cut when they are long. The caller sees to it that the feature is not personal. */
  async of(view: View, feature: string): Promise<string[]> {
    const column = quoteName(feature);
    const rows = await this.postgres.query<{ value: string }>(
      `SELECT DISTINCT left(to_json(value)::text, ${SAMPLE_CHARACTERS}) AS value
       FROM (SELECT ${column} AS value FROM ${rowTable(view.id)} LIMIT ${ROWS_SEEN}) seen WHERE value IS NOT NULL ORDER BY 1 LIMIT ${SAMPLES}`,
    );
    return rows.map(({ value }) => value);
  }
}
