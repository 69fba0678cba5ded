import { AppError, ERROR_CODES, messageOf } from '@headrace/base/errors';
import { Command } from 'commander';
import { applyCommand, planCommand } from './commands/apply.js';
import { backfillCommand } from './commands/backfill.js';
import { cleanCommand, downCommand } from './commands/down.js';
import { deadLetterCommand } from './commands/dead-letter.js';
import { eraseCommand } from './commands/erase.js';
import { exportCommand } from './commands/export.js';
import { featureHealthCommand } from './commands/feature-health.js';
import { featuresCommand } from './commands/features.js';
import { featureQualityCommand } from './commands/feature-quality.js';
import { joinCommand } from './commands/join.js';
import { flightsCommand } from './commands/flights.js';
import { listCommands } from './commands/lists.js';
import { predictCommand } from './commands/predict.js';
import { quarantineCommand } from './commands/quarantine.js';
import { rebuildCommand } from './commands/rebuild.js';
import { redactionCommand } from './commands/redaction.js';
import { retrainCommand } from './commands/retrain.js';
import { routeCommand } from './commands/route.js';
import { startCommand } from './commands/start.js';
import { statusCommand } from './commands/status.js';
import { topCommand } from './commands/top.js';

/** Exit codes: 0 done, 1 failed, 2 wrong use, 3 not found, 4 refused. */
const EXIT_OF_KIND: Readonly<Record<string, number>> = {
  NOT_FOUND: 3,
  FAILED_PRECONDITION: 4,
  PERMISSION_DENIED: 4,
  UNAUTHENTICATED: 4,
  INVALID_ARGUMENT: 2,
};

const program = new Command('headrace')
  .description('One platform for features, training, serving and monitoring')
  .showSuggestionAfterError()
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
for (const command of [
  startCommand(),
  downCommand(),
  cleanCommand(),
  statusCommand(),
  topCommand(),
  planCommand(),
  applyCommand(),
  predictCommand(),
  flightsCommand(),
  redactionCommand(),
  retrainCommand(),
  routeCommand(),
  joinCommand(),
  exportCommand(),
  eraseCommand(),
  rebuildCommand(),
  featureHealthCommand(),
  featuresCommand(),
  featureQualityCommand(),
  ...listCommands(),
  deadLetterCommand(),
  quarantineCommand(),
  backfillCommand(),
])
  program.addCommand(command);

program.parseAsync().catch((error: unknown) => {
  const known = error instanceof AppError ? error : undefined;
  process.stderr.write(`headrace: ${messageOf(error)}\n`);
  if (known) process.stderr.write(`  code ${known.code}: ${ERROR_CODES[known.code].fix}\n`);
  else if (error instanceof Error) process.stderr.write(`${error.stack}\n`);
  process.exit(known ? (EXIT_OF_KIND[ERROR_CODES[known.code].kind] ?? 1) : 1);
});
