import { CATALOG } from '@headrace/events/catalog';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from './source-files.js';

const SERVICES = ['feature-store', 'registry', 'trainer', 'serving', 'monitor'] as const;

describe.each(SERVICES)('%s', (service) => {
  const folder = join(ROOT, 'services', service);

  it('has the five folders and the same start files as every service', () => {
    expect(
      readdirSync(join(folder, 'src'), { withFileTypes: true })
        .filter((e) => e.isDirectory())
        .map((e) => e.name)
        .sort(),
    ).toEqual(['app', 'domain', 'events', 'io', 'rpc']);
    for (const file of ['main.ts', 'start.ts', 'app.module.ts', 'config.ts', 'errors.ts', 'guard.ts', 'telemetry.ts'])
      expect(existsSync(join(folder, 'src', file)), `${service}/src/${file}`).toBe(true);
  });

  it('says in its README what it owns, hears, says and answers, and where to start', () => {
    const readme = readFileSync(join(folder, 'README.md'), 'utf8').toLowerCase();
    for (const heading of ['owns', 'hears', 'says', 'answers', 'start here'])
      expect(readme, heading).toMatch(new RegExp(`^(#+ .*|\\*\\*)${heading}`, 'm'));
  });

  it('passes each topic that it reads or writes through its guard table', async () => {
    const { guard } = (await import(join(folder, 'src/guard.ts'))) as { guard: { topics: Record<string, string> } };
    const topics = CATALOG.filter((event) => event.consumers.includes(service) || event.producers.includes(service)).map(
      (event) => event.topic,
    );
    expect(Object.keys(guard.topics).sort()).toEqual([...topics].sort());
  });
});
