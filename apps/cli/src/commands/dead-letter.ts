import { CATALOG } from '@headrace/events/catalog';
import { AppError, ERROR_CODES, type ErrorCode } from '@headrace/base/errors';
import { replay } from '@headrace/platform/kafka/dead-letter';
import { KafkaClients } from '@headrace/platform/kafka/kafka-clients';
import { Log } from '@headrace/platform/log';
import { Command } from 'commander';
import { runningSite } from '../cluster/site.js';
import { loadConfig } from '../config.js';

export function deadLetterCommand(): Command {
  const command = new Command('dead-letter').description('events that could not be handled');
  command
    .command('replay')
    .description('send the letters of a topic again, to the group that failed on them; effects happen once')
    .argument('<topic>', 'the original topic')
    .option('--code <code>', 'only letters with this error code')
    .option('--group <group>', 'only letters of this consumer group')
    .option('--event <id>', 'only this event')
    .action(async (topic: string, options: { code?: string; group?: string; event?: string }) => {
      if (!CATALOG.some((event) => event.topic === topic))
        throw new AppError(
          'REQUEST_INVALID',
          `${topic} is no topic of the catalogue; known: ${CATALOG.map((event) => event.topic).join(', ')}`,
        );
      if (options.code !== undefined && !Object.hasOwn(ERROR_CODES, options.code))
        throw new AppError('REQUEST_INVALID', `${options.code} is no error code`);
      const clients = new KafkaClients(
        { brokers: runningSite(loadConfig()).kafkaBrokers, client: 'auto', clientId: 'headrace-cli' },
        Log.create('cli', 'warn'),
      );
      try {
        const sent = await replay(clients, topic, {
          ...(options.code === undefined ? {} : { code: options.code as ErrorCode }),
          ...(options.group === undefined ? {} : { group: options.group }),
          ...(options.event === undefined ? {} : { eventId: options.event }),
        });
        process.stdout.write(`${sent} sent again\n`);
      } finally {
        await clients.close();
      }
    });
  return command;
}
