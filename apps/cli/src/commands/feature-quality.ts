import { FeatureQualityDefinition, type FeatureStatistics, type ViewQuality } from '@headrace/contracts/features/v1/quality';
import { createClient } from '@headrace/platform/grpc/client';
import { Command } from 'commander';
import { clientOptions, runningSite } from '../cluster/site.js';
import { loadConfig } from '../config.js';
import { formatTable } from '../terminal/table.js';

interface Options {
  readonly project: string;
  readonly now?: boolean;
  readonly windows: string;
  readonly json?: boolean;
}

/** Statistics of the newest windows, and what is too far from the reference. Ends with 1 when something is. */
export function featureQualityCommand(): Command {
  return new Command('feature-quality')
    .description('statistics of features by window, and the newest window against its reference')
    .argument('[view]', 'one view; all with `quality` when left out', '')
    .option('--now', 'fire and resolve alerts now, instead of with the next turn')
    .option('--windows <n>', 'newest windows to show', '1')
    .option('--project <name>', 'project', 'default')
    .option('--json', 'for programs')
    .action(show);
}

async function show(view: string, { project, now, windows, json }: Options): Promise<void> {
  const config = loadConfig();
  const client = createClient(FeatureQualityDefinition, runningSite(config).endpoints['feature-store'].grpc, clientOptions(config));
  try {
    const request = { project, view, windows: Math.max(0, Math.trunc(Number(windows)) || 0) };
    const quality = await (now ? client.judge(request) : client.listQuality(request));
    process.stdout.write(json ? `${JSON.stringify(quality)}\n` : `${quality.views.map(print).join('\n')}\n`);
    if (quality.views.some(({ verdicts }) => verdicts.some(({ bad }) => bad))) process.exitCode = 1;
  } finally {
    client.close();
  }
}

function print({ view, by, windows, judged, verdicts, reference }: ViewQuality): string {
  const tables = windows.map(({ start, rows, features }) => {
    const title = `${view} from ${start!.toISOString()} by ${by} time: ${rows} rows`;
    const head = ['feature', 'values', 'nulls', 'mean', 'std', 'p1', 'p50', 'p99', 'distinct', 'most frequent'];
    return `${title}\n${formatTable(head, features.map(line))}`;
  });
  const bad = verdicts.filter((verdict) => verdict.bad);
  const faults = bad.map(
    ({ sentence, newCategories }) => `too far: ${sentence}${newCategories.length > 0 ? ` (${newCategories.join(', ')})` : ''}`,
  );
  const summary = judged
    ? `${view}: window from ${judged.toISOString()} judged against ${reference?.rows ?? 0} rows, ${bad.length} of ${verdicts.length} checks beyond their limit`
    : `${view}: nothing to judge yet`;
  return [...tables, summary, ...faults].join('\n');
}

function line({ feature, count, nulls, mean, std, quantiles, distinct, categories }: FeatureStatistics): (string | number)[] {
  const at = (q: number): string => short(quantiles.find((one) => one.q === q)?.value);
  const [first] = categories;
  return [
    feature,
    count,
    nulls,
    short(mean),
    short(std),
    at(0.01),
    at(0.5),
    at(0.99),
    distinct || '',
    first ? `${first.value} (${first.count})` : '',
  ];
}

function short(value: number | undefined): string {
  return value === undefined ? '' : String(Number(value.toPrecision(4)));
}
