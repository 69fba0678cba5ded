import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { referencePages } from './reference.js';
import { ROOT } from './source-files.js';

const folder = join(ROOT, 'docs/reference');

it('keeps the reference pages equal to the code', async () => {
  const pages = await referencePages();
  if (process.env.HEADRACE_UPDATE_REFERENCE) {
    mkdirSync(folder, { recursive: true });
    for (const [name, text] of Object.entries(pages)) writeFileSync(join(folder, name), text);
  }
  for (const [name, text] of Object.entries(pages))
    expect(readFileSync(join(folder, name), 'utf8'), `${name} is stale: run npm run generate`).toBe(text);
});
