import { AppError } from '@headrace/base/errors';
import { entityScope, valueToken } from '@headrace/base/value-token';
import { ServingAdminDefinition, type VersionDescription } from '@headrace/contracts/serving/v1/serving';
import { createClient } from '@headrace/platform/grpc/client';
import { Command } from 'commander';
import { clientOptions, runningSite } from '../cluster/site.js';
import { loadConfig } from '../config.js';
import { formatTable } from '../terminal/table.js';

/** Name of the row of the entity keys, which no column can have. */
const ENTITY = '(entity)';

/** What the prediction log holds of a model, and which token stands there for which value. */
export function redactionCommand(): Command {
  return new Command('redaction')
    .description('what the prediction log holds of each feature of a model: the value, a token, or nothing')
    .argument('<model>')
    .option('--version <version>', 'a version that is loaded; default the champion', '0')
    .option(
      '--token <column=value...>',
      'the token of a value, made here with HEADRACE_PREDICTION_LOG_HASH_KEY: which group of an alert is whose',
    )
    .option('--project <name>', 'project', 'default')
    .option('--json', 'for programs')
    .action(async (model: string, options: { version: string; token?: string[]; project: string; json?: boolean }) => {
      const config = loadConfig();
      const client = createClient(ServingAdminDefinition, runningSite(config).endpoints.serving.grpc, clientOptions(config));
      try {
        const version = await client.describeVersion({ project: options.project, model, version: Number(options.version) });
        const key = config.logHashKey || config.logHashKeyFile;
        const table = options.token ? tokenTable(version, options.token, key) : redactionTable(version);
        process.stdout.write(
          `${
            options.json
              ? JSON.stringify(table, null, 2)
              : formatTable(
                  Object.keys(table[0]!),
                  table.map((row) => Object.values(row)),
                )
          }\n`,
        );
      } finally {
        client.close();
      }
    });
}

const SAID: Readonly<Record<string, string>> = {
  omit: 'nothing',
  hash: 'a token',
  unknown: 'nothing: the feature store has not said yet whether it is personal',
  keyless: 'nothing: serving has no HEADRACE_PREDICTION_LOG_HASH_KEY to make tokens',
};

export function redactionTable(version: VersionDescription): Record<string, string>[] {
  const { log, entityKeys } = version;
  const said = (how: string | undefined): string => (how ? (SAID[how] ?? how) : 'the value');
  const rows = columnsOf(version).map(({ name, reference }) => ({ column: name, feature: reference, logged: said(log?.redacted[name]) }));
  return entityKeys.length > 0 ? [...rows, { column: ENTITY, feature: entityKeys.join('|'), logged: said(log?.entity) }] : rows;
}

/** @throws AppError REQUEST_INVALID without a key, or for a column that the model does not have */
export function tokenTable(version: VersionDescription, wanted: readonly string[], key: string): Record<string, string>[] {
  if (key === '')
    throw new AppError('REQUEST_INVALID', 'tokens need the key of serving; set HEADRACE_PREDICTION_LOG_HASH_KEY or ..._KEY_FILE');
  return wanted.map((text) => {
    const [column, ...rest] = text.split('=');
    const value = rest.join('=');
    const input = columnsOf(version).find(({ name }) => name === column);
    if ((!input && column !== ENTITY) || value === '')
      throw new AppError(
        'REQUEST_INVALID',
        `--token ${text}: ${version.model} has no such column, or the value is missing; write column=value`,
      );
    const scope = input ? { project: version.project, of: input.reference } : entityScope(version.project, version.entityKeys);
    // Numbers reach the log as 32-bit floats.
    const logged = input && input.type !== 'string' ? Math.fround(Number(value)) : value;
    return { column: column!, value, token: valueToken(key, scope, logged) };
  });
}

function columnsOf({ inputs, protectedAttributes }: VersionDescription): VersionDescription['inputs'] {
  const names = new Set(inputs.map(({ name }) => name));
  return [...inputs, ...protectedAttributes.filter(({ name }) => !names.has(name))];
}
