import { createReadStream, createWriteStream } from 'node:fs';
import { rename } from 'node:fs/promises';
import { extname } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { sleep } from '@headrace/base/clock';
import { AppError, isErrorCode } from '@headrace/base/errors';
import { JoinState, Knowledge, PointInTimeJoinsDefinition, type Join } from '@headrace/contracts/features/v1/joins';
import { createClient } from '@headrace/platform/grpc/client';
import type { Fetch } from '@headrace/platform/http/fetch';
import { Command, Option } from 'commander';
import { clientOptions, fetchOf, runningSite } from '../cluster/site.js';
import { loadConfig } from '../config.js';

const TYPES: Readonly<Record<string, string>> = {
  '.parquet': 'application/vnd.apache.parquet',
  '.arrow': 'application/vnd.apache.arrow.file',
  '.csv': 'text/csv',
  '.ndjson': 'application/x-ndjson',
};

const KNOWLEDGE = { all: Knowledge.UNSPECIFIED, row: Knowledge.ROW_TIME } as const;
const LOOK_MS = 200;

interface Options {
  readonly project: string;
  readonly features: string;
  readonly time?: string;
  readonly known: keyof typeof KNOWLEDGE;
  readonly asOf?: string;
  readonly out?: string;
}

/** Brings an entity frame to the feature store, waits for its join, and fetches the snapshot. */
export function joinCommand(): Command {
  return new Command('join')
    .description('join an entity frame with features, point in time')
    .argument('<frame>', `file of the frame: ${Object.keys(TYPES).join(', ')}`)
    .requiredOption('--features <list>', 'features, as `view:feature` with commas between')
    .option('--time <column>', 'column with the moment of each row (default event_timestamp)')
    .addOption(
      new Option('--known <when>', 'which feature rows count: all, or those known at the time of the row')
        .choices(['all', 'row'])
        .default('all'),
    )
    .option('--as-of <moment>', 'only feature rows that had arrived by then')
    .option('--out <file>', 'write the snapshot here')
    .option('--project <name>', 'project', 'default')
    .action(join);
}

async function join(file: string, options: Options): Promise<void> {
  const config = loadConfig();
  const { http, grpc } = runningSite(config).endpoints['feature-store'];
  const headers: Record<string, string> = config.apiKey ? { authorization: `Bearer ${config.apiKey}` } : {};
  const fetch = fetchOf(config);
  const frame = await upload(file, http, headers, fetch);
  const client = createClient(PointInTimeJoinsDefinition, grpc, clientOptions(config));
  try {
    const asOf = options.asOf === undefined ? undefined : momentOf(options.asOf);
    let done = await client.startJoin({
      project: options.project,
      features: options.features.split(',').map((reference) => reference.trim()),
      source: { $case: 'frame', value: frame },
      timeColumn: options.time ?? '',
      knowledge: asOf ? Knowledge.AS_OF : KNOWLEDGE[options.known],
      asOf,
    });
    while (done.state === JoinState.QUEUED || done.state === JoinState.RUNNING) {
      await sleep(LOOK_MS);
      done = await client.getJoin({ project: options.project, joinId: done.joinId });
      if (process.stderr.isTTY) process.stderr.write(`\r${done.rowsRead} of ${done.rows} rows read, ${done.rowsWritten} written `);
    }
    if (process.stderr.isTTY) process.stderr.write('\n');
    if (done.state !== JoinState.SUCCEEDED) throw failed(done);
    if (options.out !== undefined) await download(`${http}/training-sets/${done.trainingSet}.parquet`, options.out, headers, fetch);
    process.stdout.write(
      `${done.rowsWritten} rows, training set ${done.trainingSet}${options.out === undefined ? '' : ` in ${options.out}`}\n`,
    );
  } finally {
    client.close();
  }
}

async function upload(file: string, http: string, headers: Record<string, string>, fetch: Fetch): Promise<string> {
  const type = TYPES[extname(file)];
  if (type === undefined) throw new AppError('REQUEST_INVALID', `${file} must end with one of ${Object.keys(TYPES).join(', ')}`);
  const request = { method: 'POST', headers: { ...headers, 'content-type': type }, body: createReadStream(file), duplex: 'half' };
  const answer = await fetch(`${http}/frames`, request as unknown as RequestInit);
  await refuse(answer);
  return ((await answer.json()) as { frame: string }).frame;
}

async function download(url: string, out: string, headers: Record<string, string>, fetch: Fetch): Promise<void> {
  const answer = await fetch(url, { headers });
  await refuse(answer);
  // Complete under its name, or not there.
  await pipeline(Readable.fromWeb(answer.body as ReadableStream), createWriteStream(`${out}.part`));
  await rename(`${out}.part`, out);
}

async function refuse(answer: Response): Promise<void> {
  if (answer.ok) return;
  const problem = (await answer.json().catch(() => ({}))) as { code?: string; detail?: string };
  const code = isErrorCode(problem.code) ? problem.code : 'DEPENDENCY_UNAVAILABLE';
  throw new AppError(code, problem.detail ?? `the feature store answered ${answer.status}`);
}

function momentOf(text: string): Date {
  const moment = new Date(text);
  if (Number.isNaN(moment.getTime())) throw new AppError('REQUEST_INVALID', `--as-of ${text} is no moment; write RFC 3339`);
  return moment;
}

function failed({ joinId, state, errorCode, error }: Join): AppError {
  return new AppError(isErrorCode(errorCode) ? errorCode : 'CANCELLED', `join ${joinId}: ${error || state}`);
}
