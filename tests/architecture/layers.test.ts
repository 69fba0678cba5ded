import { describe, expect, it } from 'vitest';
import { isTest, sourceFiles, type SourceFile } from './source-files.js';

const files = sourceFiles();
const production = files.filter((file) => !isTest(file.path));

/** Which workspace packages a place may import; its own files and npm packages are judged elsewhere. */
const MAY_IMPORT: readonly { readonly place: RegExp; readonly packages: readonly string[] }[] = [
  { place: /^libs\/base\//, packages: [] },
  { place: /^libs\/contracts\//, packages: [] },
  { place: /^libs\/definitions\//, packages: ['base'] },
  { place: /^libs\/codec\//, packages: ['base', 'contracts'] },
  { place: /^libs\/wire\//, packages: ['base', 'codec'] },
  { place: /^libs\/events\//, packages: ['base', 'contracts'] },
  { place: /^libs\/stats\//, packages: ['base'] },
  { place: /^libs\/windows\//, packages: ['base', 'stats'] },
  { place: /^libs\/executor\//, packages: ['base', 'codec', 'definitions'] },
  { place: /^libs\/platform\//, packages: ['base', 'contracts', 'events', 'wire'] },
  { place: /^libs\/testkit\//, packages: ['base', 'engines'] },
  { place: /^infra\/engines\//, packages: ['base'] },
  {
    place: /^services\/serving\//,
    packages: ['base', 'contracts', 'definitions', 'codec', 'wire', 'events', 'executor', 'platform', 'windows'],
  },
  {
    place: /^services\/feature-store\//,
    packages: ['base', 'contracts', 'definitions', 'codec', 'wire', 'events', 'platform', 'stats', 'windows'],
  },
  { place: /^services\/monitor\//, packages: ['base', 'contracts', 'definitions', 'codec', 'stats', 'events', 'platform'] },
  { place: /^services\//, packages: ['base', 'contracts', 'definitions', 'codec', 'events', 'platform'] },
  { place: /^clients\//, packages: ['base', 'contracts', 'codec', 'wire'] },
  { place: /^examples\//, packages: ['base', 'client', 'contracts', 'definitions', 'events', 'platform'] },
  {
    place: /^apps\//,
    packages: [
      'base',
      'client',
      'contracts',
      'definitions',
      'engines',
      'events',
      'platform',
      'example-employment',
      'example-flights',
      'trainer',
    ],
  },
];

/** Layers of a service: who may import whom. `app.module.ts`, `start.ts`, `main.ts` and `worker.ts` wire all of them. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  domain: ['domain'],
  io: ['io', 'domain'],
  app: ['app', 'domain', 'io'],
  rpc: ['rpc', 'app', 'domain'],
  events: ['events', 'app', 'domain'],
};

/** Libraries without input or output: they must run anywhere, so they may not reach for the machine. */
const PURE = /^libs\/(base|contracts|codec|events|stats|definitions|windows)\/src\//;
const IMPURE_BUILTINS = ['fs', 'net', 'http', 'http2', 'https', 'child_process', 'tls', 'dgram', 'worker_threads', 'cluster', 'os'];

const complain = (list: readonly string[]): void => expect(list, list.join('\n')).toEqual([]);

describe('who may import whom', () => {
  it('lets each place import only the packages below it', () => {
    const wrong = production.flatMap((file) => {
      const rule = MAY_IMPORT.find(({ place }) => place.test(file.path));
      return workspaceImports(file)
        .filter((name) => rule !== undefined && !rule.packages.includes(name) && !ownPackage(file, name))
        .map((name) => `${file.path} imports @headrace/${name}`);
    });
    complain(wrong);
  });

  it('never lets a service import a service', () => {
    const services = new Set(['feature-store', 'registry', 'trainer', 'serving', 'monitor']);
    complain(
      files
        .filter((f) => f.path.startsWith('services/'))
        .flatMap((f) =>
          workspaceImports(f)
            .filter((name) => services.has(name) && !ownPackage(f, name))
            .map((name) => `${f.path} imports @headrace/${name}`),
        ),
    );
  });

  it('keeps the layers of every service', () => {
    const wrong = production.flatMap((file) => {
      const layer = /^services\/[^/]+\/src\/([^/]+)\//.exec(file.path)?.[1];
      if (layer === undefined) return [];
      const allowed = LAYERS[layer];
      if (!allowed) return [`${file.path} lies outside the five folders ${Object.keys(LAYERS).join(', ')}`];
      return file.imports
        .map((specifier) => /^\.\.\/([^/.]+)\//.exec(specifier)?.[1])
        .filter((target) => target !== undefined && Object.hasOwn(LAYERS, target) && !allowed.includes(target))
        .map((target) => `${file.path} (${layer}) imports ${target}`);
    });
    complain(wrong);
  });

  it('keeps thought free of frameworks, clocks and dice', () => {
    const wrong = production
      .filter((file) => /^services\/[^/]+\/src\/domain\//.test(file.path))
      .flatMap((file) => [
        ...file.imports
          .filter((i) => i.startsWith('@nestjs/') || i.startsWith('@headrace/platform') || /^node:(?!crypto$|assert$)/.test(i))
          .map((i) => `${file.path} imports ${i}`),
        ...['Date.now(', 'Math.random(', 'performance.now(', 'new Date()', 'setTimeout(', 'setInterval(']
          .filter((call) => code(file).includes(call))
          .map((call) => `${file.path} calls ${call}`),
      ]);
    complain(wrong);
  });

  it('keeps the pure libraries off the machine', () => {
    complain(
      production
        .filter((file) => PURE.test(file.path))
        .flatMap((file) =>
          file.imports.filter((i) => IMPURE_BUILTINS.includes(i.replace('node:', ''))).map((i) => `${file.path} imports ${i}`),
        ),
    );
  });

  it('lets tests enter a service only through its start files', () => {
    const wrong = files
      .filter((file) => /^services\/[^/]+\/test\/|^tests\/(cluster|e2e|chaos|conformance|conformance-feast)\//.test(file.path))
      .flatMap((file) =>
        file.imports.filter((i) => /\/src\/(rpc|events|app)\//.test(i) && !i.includes('python')).map((i) => `${file.path} imports ${i}`),
      );
    complain(wrong);
  });

  it('has no cycle of imports that run', () => {
    complain(cycles(production));
  });
});

describe('one way to do a thing', () => {
  it('reads the environment only in config.ts', () => {
    const allowed = /(^|\/)config\.ts$|^bench\//;
    complain(production.filter((file) => !allowed.test(file.path) && /\bprocess\.env\b/.test(code(file))).map((file) => file.path));
  });

  it('names topics only in the catalogue', () => {
    const topic = /['"`]headrace\.(features|outcomes|training|models|rollouts|predictions|alerts)\.[a-z.]*v1/;
    complain(
      production
        .filter(
          (file) =>
            file.path !== 'libs/events/src/catalog.ts' &&
            !/\/src\/guard\.ts$/.test(file.path) &&
            topic.test(code(file)) &&
            !isRpcName(code(file)),
        )
        .map((file) => file.path),
    );
  });

  it('has no barrels, no default exports, no `any`', () => {
    complain(production.filter((file) => /\/src\/(.*\/)?index\.ts$/.test(file.path)).map((file) => `${file.path} is a barrel`));
    complain(production.filter((file) => /^export default\b/m.test(file.text)).map((file) => `${file.path} has a default export`));
    complain(production.filter((file) => /(:|<|as)\s*any\b(?!\w)/.test(code(file))).map((file) => `${file.path} uses any`));
  });

  it('never evaluates text, and never builds a shell string', () => {
    complain(
      production
        .filter((file) => /(?<![.\w])eval\(|new Function\(|\bexecSync\(|\bexec\((?!\w*\))['"`]|shell:\s*true/.test(code(file)))
        .map((file) => file.path),
    );
  });

  it('has no leftover markers', () => {
    complain(
      files
        .filter((file) => !file.path.startsWith('tests/architecture/') && /\b(TODO|FIXME|XXX|HACK)\b/.test(file.text))
        .map((file) => file.path),
    );
  });
});

describe('size', () => {
  it('keeps production files under 500 lines, and says which pass 300', () => {
    const long = production.filter((file) => file.lines > 300).sort((a, b) => b.lines - a.lines);
    if (long.length > 0) console.info(`files over 300 lines, look for a seam:\n${long.map((f) => `  ${f.lines} ${f.path}`).join('\n')}`);
    complain(long.filter((file) => file.lines > 500).map((file) => `${file.path}: ${file.lines} lines`));
  });
});

function workspaceImports(file: SourceFile): string[] {
  return file.imports.filter((i) => i.startsWith('@headrace/')).map((i) => i.split('/')[1]!);
}

function ownPackage(file: SourceFile, name: string): boolean {
  return (
    new RegExp(`^(libs|services|apps|infra|examples)/(${name}|${name.replace('example-', '')})/`).test(file.path) ||
    (name === 'client' && file.path.startsWith('clients/typescript/'))
  );
}

/** Without comments: rules are about code. */
function code(file: SourceFile): string {
  return file.text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[^:'"`])\/\/.*$/gm, '$1');
}

/** gRPC method names (`headrace.features.v1.FeatureStore`) look like topics but are not. */
function isRpcName(text: string): boolean {
  return [...text.matchAll(/['"`]\/?headrace\.\w+\.v1([^'"`]*)/g)].every((m) => m[1]!.startsWith('.'));
}

function cycles(all: readonly SourceFile[]): string[] {
  const byPath = new Map(all.map((file) => [file.path, file]));
  const targets = (file: SourceFile): string[] =>
    file.runtimeImports
      .filter((i) => i.startsWith('.'))
      .map((i) => normalise(file.path, i))
      .filter((path) => byPath.has(path));
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path);
    if (at >= 0) return void found.push([...trail.slice(at), path].join(' -> '));
    if (done.has(path)) return;
    for (const target of targets(byPath.get(path)!)) visit(target, [...trail, path]);
    done.add(path);
  };
  for (const path of byPath.keys()) visit(path, []);
  return found;
}

function normalise(from: string, specifier: string): string {
  const parts = from.split('/').slice(0, -1);
  for (const part of specifier.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '.') parts.push(part);
  }
  return parts.join('/').replace(/\.js$/, '.ts');
}
