import { ERROR_CODES } from '@headrace/base/errors';
import { CATALOG, deadLetterTopic } from '@headrace/events/catalog';
import type { ConfigKey } from '@headrace/platform/config';
import { join } from 'node:path';
import { ROOT } from './source-files.js';

const CONFIGS = {
  'feature-store': 'services/feature-store/src/config.ts',
  registry: 'services/registry/src/config.ts',
  trainer: 'services/trainer/src/config.ts',
  serving: 'services/serving/src/config.ts',
  monitor: 'services/monitor/src/config.ts',
  'the `headrace` command': 'apps/cli/src/config.ts',
} as const;

const NOTE = 'Generated from the code by `npm run generate`; a test proves it fresh.';

/** The pages of docs/reference that follow from tables in the code: file name -> text. */
export async function referencePages(): Promise<Record<string, string>> {
  return { 'configuration.md': await configurationPage(), 'errors.md': errorsPage(), 'events.md': eventsPage() };
}

async function configurationPage(): Promise<string> {
  const services: [string, Readonly<Record<string, ConfigKey>>][] = [];
  for (const [name, file] of Object.entries(CONFIGS)) {
    const { configKeys } = (await import(join(ROOT, file))) as { configKeys: Record<string, ConfigKey> };
    services.push([name, configKeys]);
  }
  const five = services.slice(0, 5);
  const shared = Object.values(five[0]![1]).filter((key) => five.every(([, keys]) => Object.values(keys).some((k) => k.env === key.env)));
  const sharedNames = new Set(shared.map((key) => key.env));
  const own = (keys: Readonly<Record<string, ConfigKey>>, all: boolean): ConfigKey[] =>
    Object.values(keys).filter((key) => all || !sharedNames.has(key.env) || /_PORT$/.test(key.env));
  return (
    [
      '# Configuration',
      `${NOTE} Every key is an environment variable; mistakes are all reported together at start, with exit code 78.`,
      '## Every service',
      table(shared.filter((key) => !/_PORT$/.test(key.env))),
      ...services.flatMap(([name, keys], i) => [`## ${name[0]!.toUpperCase()}${name.slice(1)}`, table(own(keys, i === 5))]),
    ].join('\n\n') + '\n'
  );
}

function table(keys: readonly ConfigKey[]): string {
  const rows = keys.map((key) => {
    const parsed = key.schema.safeParse(undefined);
    const fallback = !parsed.success ? '(required)' : key.env === 'HEADRACE_INSTANCE' ? 'host name and pid' : render(parsed.data);
    return `| \`${key.env}\` | ${fallback === '' ? '(empty)' : `\`${fallback}\``} | ${key.unit} | ${key.doc.replaceAll('|', '\\|')}${key.secret ? ' (secret)' : ''} |`;
  });
  return ['| key | default | unit | what it is |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

function render(value: unknown): string {
  if (Array.isArray(value)) return value.join(',');
  return typeof value === 'object' ? JSON.stringify(value) : `${(value as string | number | boolean | undefined) ?? ''}`;
}

function errorsPage(): string {
  const rows = Object.entries(ERROR_CODES).map(([code, { kind, fix }]) => `| \`${code}\` | ${kind} | ${fix.replaceAll('|', '\\|')} |`);
  return (
    [
      '# Error codes',
      `${NOTE} The code travels as \`reason\` of \`google.rpc.ErrorInfo\` over gRPC, as \`code\` of problem+json over HTTP, and as header \`dead-code\` of a dead letter.`,
      ['| code | gRPC status | what to do |', '| --- | --- | --- |', ...rows].join('\n'),
    ].join('\n\n') + '\n'
  );
}

function eventsPage(): string {
  const rows = CATALOG.map(
    (event) =>
      `| \`${event.topic}\` | \`${event.type}\` | ${event.partitions} | ${event.producers.join(', ') || 'anyone'} | ${event.consumers.join(', ') || 'anyone'} | ${event.inbound ? 'protobuf, JSON' : 'protobuf'} |`,
  );
  return (
    [
      '# Events',
      `${NOTE} CloudEvents 1.0 over Kafka in binary mode; messages are in \`proto/headrace/events/v1/events.proto\`. Each topic has a dead-letter twin such as \`${deadLetterTopic(CATALOG[0]!.topic)}\`.`,
      ['| topic | type | partitions | producers | consumers | accepted |', '| --- | --- | --- | --- | --- | --- |', ...rows].join('\n'),
    ].join('\n\n') + '\n'
  );
}
