import { createWriteStream } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { AppError } from '@headrace/base/errors';
import { Command } from 'commander';
import { fetchOf, runningSite } from '../cluster/site.js';
import { loadConfig } from '../config.js';

interface Options {
  readonly project: string;
  readonly features: string;
  readonly columns: string;
  readonly time: string;
  readonly asOf?: string;
  readonly out: string;
}

interface Plan {
  readonly sql: string;
  readonly histories: readonly { readonly file: string; readonly path: string }[];
}

/** Histories of views as Parquet, and the point-in-time join over them for DuckDB. */
export function exportCommand(): Command {
  return new Command('export')
    .description('write the history of features as Parquet, with the point-in-time join for DuckDB')
    .requiredOption('--features <list>', 'features, as `view:feature` with commas between')
    .requiredOption('--out <folder>', 'where the files go')
    .requiredOption('--columns <list>', 'columns of your frame.parquet, with commas between')
    .option('--time <column>', 'column with the moment of each row', 'event_timestamp')
    .option('--as-of <moment>', 'only feature rows that had arrived by then')
    .option('--project <name>', 'project', 'default')
    .action(write);
}

async function write({ project, features, columns, time, asOf, out }: Options): Promise<void> {
  const config = loadConfig();
  const { http } = runningSite(config).endpoints['feature-store'];
  const headers: Record<string, string> = config.apiKey ? { authorization: `Bearer ${config.apiKey}` } : {};
  const fetch = fetchOf(config);
  const answer = await fetch(`${http}/exports?project=${encodeURIComponent(project)}`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify({ features: features.split(','), columns: columns.split(','), timeColumn: time, asOf }),
  });
  if (!answer.ok) throw new AppError('REQUEST_INVALID', await answer.text());
  const { sql, histories } = (await answer.json()) as Plan;
  await mkdir(out, { recursive: true });
  for (const { file, path } of histories) {
    const history = await fetch(`${http}${path}`, { headers });
    if (!history.ok) throw new AppError('REQUEST_INVALID', await history.text());
    // Complete under its name, or not there.
    await pipeline(Readable.fromWeb(history.body as ReadableStream), createWriteStream(join(out, `${file}.part`)));
    await rename(join(out, `${file}.part`), join(out, file));
    process.stdout.write(`${join(out, file)}\n`);
  }
  await writeFile(join(out, 'point-in-time.sql'), `${sql};\n`);
  process.stdout.write(`${join(out, 'point-in-time.sql')}: put frame.parquet beside it and run it in DuckDB\n`);
}
