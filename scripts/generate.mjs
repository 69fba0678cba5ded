// Regenerates libs/contracts/src/gen from proto/ and the descriptor set that gRPC reflection serves.
// `--check` fails when the committed output differs from what the protos give.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const committed = join(root, 'libs/contracts/src/gen');
const check = process.argv.includes('--check');
const out = mkdtempSync(join(tmpdir(), 'headrace-gen-'));
const bin = join(root, 'node_modules/.bin');
const env = { ...process.env, PATH: `${bin}:${process.env.PATH}` };

try {
  const template = readFileSync(join(root, 'buf.gen.yaml'), 'utf8').replace('libs/contracts/src/gen', out);
  execFileSync(join(bin, 'buf'), ['generate', '--template', template], { cwd: root, env, stdio: 'inherit' });
  const descriptors = execFileSync(join(bin, 'buf'), ['build', '-o', '-#format=binpb', '--as-file-descriptor-set'], { cwd: root, env });
  writeFileSync(
    join(out, 'descriptor-set.ts'),
    `/** FileDescriptorSet of proto/, base64; what gRPC reflection answers from. Generated, do not edit. */\nexport const DESCRIPTOR_SET_BASE64 =\n  '${descriptors.toString('base64')}';\n`,
  );
  if (check) compare();
  else {
    rmSync(committed, { recursive: true, force: true });
    cpSync(out, committed, { recursive: true });
  }
} finally {
  rmSync(out, { recursive: true, force: true });
}

function compare() {
  const files = (dir) =>
    readdirSync(dir, { recursive: true, withFileTypes: true })
      .filter((f) => f.isFile())
      .map((f) => relative(dir, join(f.parentPath, f.name)))
      .sort();
  const fresh = files(out);
  const stale = [...new Set([...fresh, ...files(committed)])].filter((f) => read(out, f) !== read(committed, f));
  if (stale.length === 0) return;
  console.error(`generated code is stale: ${stale.join(', ')}; run \`npm run generate\` and commit the result`);
  process.exitCode = 1;
}

function read(dir, file) {
  try {
    return readFileSync(join(dir, file), 'utf8');
  } catch {
    return undefined;
  }
}
