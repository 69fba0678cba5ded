import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CertificateFolder, TestAuthority } from '@headrace/testkit/certificates';
import { afterAll, expect, it } from 'vitest';
import { RunningHeadrace } from './running-headrace.js';

const authority = new TestAuthority();
const folder = new CertificateFolder();
const { certFile, keyFile } = folder.write('all', authority.issue());
const ca = folder.file('ca.crt', authority.cert);
const headrace = new RunningHeadrace({
  HEADRACE_API_KEY: 'a-key-of-the-tls-walk',
  HEADRACE_TLS_CERT_FILE: certFile,
  HEADRACE_TLS_KEY_FILE: keyFile,
  HEADRACE_TLS_CLIENT_CA_FILE: ca,
  HEADRACE_TLS_CA_FILE: ca,
});
afterAll(async () => {
  await headrace.interrupt(60_000);
  await headrace.headrace(['clean']);
  folder.remove();
});

const DEFINITIONS = `
kind: Entity
name: person
joinKeys: [person_id]
---
kind: FeatureView
name: person
entity: person
features:
  - { name: age, type: int64 }
`;

it('`headrace start` runs all services on TLS with mutual certificates, and the commands find and use them', async () => {
  await headrace.start(['--no-example'], 'Headrace is up', 300_000);
  const status = await headrace.headrace(['status', '--json']);
  expect(status.code, `${status.stdout}\n${status.stderr}`).toBe(0);
  const rows = JSON.parse(status.stdout) as { name: string; health: string; http: string; grpc: string }[];
  expect(rows.map(({ health }) => health).filter((health) => health !== 'ready' && health !== 'running')).toEqual([]);
  for (const { name, http, grpc } of rows.filter(({ http }) => http !== '')) {
    expect(http, name).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
    expect(grpc, name).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
  }

  const file = join(folder.path, 'definitions.yaml');
  writeFileSync(file, DEFINITIONS);
  const applied = await headrace.headrace(['apply', file]);
  expect(applied.code, applied.stderr).toBe(0);
  // By gRPC, by HTTPS with an upload of a stream, and refused by the service and not by the connection.
  const features = await headrace.headrace(['features', 'search', 'age']);
  expect(features.stdout, features.stderr).toContain('person:age');
  const frame = join(folder.path, 'frame.csv');
  writeFileSync(frame, 'person_id,event_timestamp\n7,2016-01-01T00:00:00Z\n');
  const out = join(folder.path, 'joined.parquet');
  const joined = await headrace.headrace(['join', frame, '--features', 'person:age', '--out', out]);
  expect(joined.stdout, joined.stderr).toContain('1 rows');
  const predicted = await headrace.headrace(['predict', 'none', '7']);
  expect([predicted.code, predicted.stderr]).toEqual([3, expect.stringContaining('MODEL_NOT_LOADED')]);
}, 400_000);
