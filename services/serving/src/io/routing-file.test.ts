import { Signature } from '@headrace/contracts/registry/v1/registry';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { VersionDescription } from '../domain/version-description.js';
import { RoutingFile } from './routing-file.js';

const version: VersionDescription = {
  ...{ project: 'default', model: 'm', version: 3, artifactSha256: 'ab', golden: { rows: [] }, missingFeatures: 'default' },
  ...{ defaults: { a: 1, b: 'x' }, batchDelayMs: 2 },
  signature: Signature.fromPartial({ features: [{ name: 'a', reference: 'v:a', type: 'float64' }], entityKeys: ['id'], threshold: 0.5 }),
  log: { sampleRate: 0.25, redact: { a: 'hash', b: 'omit' }, entity: 'hash' },
  personal: ['v:a'],
  views: [
    {
      ...{ name: 'v', entity: 'person', ttlMs: 0, joinKeys: ['id'] },
      fields: [
        { name: 'a', type: 'float64' },
        { name: 'taste', type: 'embedding', dimension: 3 },
      ],
      windows: [{ name: 'a_sum_1h', function: 'sum', column: 'a', windowMs: 3_600_000 }],
      timeFeatures: [{ kind: 'calendar', name: 'hour', part: 'hour', of: 'now', timeZone: 'UTC' }],
    },
  ],
};
const lost: string[] = [];
const log = { warn: (text: string) => void lost.push(text) };

let folder: string;
beforeAll(async () => (folder = await mkdtemp(join(tmpdir(), 'headrace-routing-'))));
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('the routing file', () => {
  it('gives back all that a version was described as: after a restart nobody may be there to ask', async () => {
    const file = new RoutingFile(join(folder, 'routing.json'), log);
    await file.write({ champions: [version], pinned: [], routes: [], heldOut: [] });
    expect((await file.read()).champions).toEqual([version]);
    expect(lost).toEqual([]);
  });

  it('of an earlier release knows nothing of what is personal', async () => {
    const { log: _, personal: __, ...older } = version;
    const path = join(folder, 'older.json');
    await writeFile(path, JSON.stringify({ format: 1, champions: [older], pinned: [] }));
    const [read] = (await new RoutingFile(path, log).read()).champions;
    expect(read).toMatchObject({ model: 'm', log: { redact: {} } });
    expect(read!.personal).toBeUndefined();
  });
});
