import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { eventually } from '@headrace/testkit/eventually';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { onnx, onnxSha256, openRegistry, registration, sha256, type Registry } from './support.js';

const LIMIT = 4 * 1024 * 1024;
let registry: Registry;
beforeAll(async () => {
  registry = await openRegistry({ artifactBytesMax: LIMIT });
  await registry.apply();
});
afterAll(() => registry.close());

const folder = (): string => join(registry.stateDir, 'registry', 'artifacts', 'default');
const pathOf = (hash: string): string => join(folder(), hash.slice(0, 2), hash);
const incoming = (): string[] => (existsSync(join(folder(), 'incoming')) ? readdirSync(join(folder(), 'incoming')) : []);
const code = async (response: Response): Promise<string> => ((await response.json()) as { code: string }).code;

it('keeps an artefact under its hash and gives the same bytes back; a second upload changes nothing', async () => {
  const bytes = randomBytes(3_000_000);
  const first = await registry.upload(bytes);
  expect([first.status, await first.json()]).toEqual([201, { sha256: sha256(bytes), bytes: 3_000_000 }]);
  const modified = statSync(pathOf(sha256(bytes))).size;
  expect((await registry.upload(bytes)).status).toBe(200);
  expect(statSync(pathOf(sha256(bytes))).size).toBe(modified);
  const back = await fetch(`${registry.service.httpUrl}/artifacts/${sha256(bytes)}`);
  expect(back.headers.get('content-length')).toBe('3000000');
  expect(Buffer.from(await back.arrayBuffer()).equals(bytes)).toBe(true);
  expect(incoming()).toEqual([]);
});

it('takes the same upload from many callers at once', async () => {
  const bytes = randomBytes(200_000);
  const answers = await Promise.all(Array.from({ length: 8 }, () => registry.upload(bytes)));
  expect(answers.every((a) => a.ok)).toBe(true);
  expect(incoming()).toEqual([]);
});

it('refuses bytes that are not those of their name, and leaves nothing behind', async () => {
  const name = sha256(Buffer.from('the right bytes'));
  const answer = await registry.upload(Buffer.from('other bytes'), name);
  expect([answer.ok, await code(answer)]).toEqual([false, 'ARTIFACT_CORRUPT']);
  expect(existsSync(pathOf(name))).toBe(false);
  expect(incoming()).toEqual([]);
  expect(await code(await fetch(`${registry.service.httpUrl}/artifacts/${name}`))).toBe('ARTIFACT_UNKNOWN');
});

it('refuses an upload over the limit, and names that are no hash', async () => {
  const large = await registry.upload(randomBytes(LIMIT + 1));
  expect([large.ok, await code(large)]).toEqual([false, 'MESSAGE_TOO_LARGE']);
  expect(incoming()).toEqual([]);
  expect(await code(await registry.upload(onnx, '..%2F..%2Fetc%2Fpasswd'))).toBe('REQUEST_INVALID');
  expect(await code(await registry.upload(onnx, onnxSha256.toUpperCase()))).toBe('REQUEST_INVALID');
  const put = (contentType: string) =>
    fetch(`${registry.service.httpUrl}/artifacts/${onnxSha256}`, { method: 'PUT', body: '{}', headers: { 'content-type': contentType } });
  expect(await code(await put('application/json'))).toBe('REQUEST_INVALID');
});

it('forgets an upload that its caller broke off', async () => {
  const bytes = randomBytes(1_000_000);
  const { hostname, port } = new URL(registry.service.httpUrl);
  const upload = request({
    hostname,
    port,
    method: 'PUT',
    path: `/artifacts/${sha256(bytes)}`,
    headers: { 'content-type': 'application/octet-stream', 'content-length': bytes.length },
  });
  upload.on('error', () => undefined);
  upload.write(bytes.subarray(0, 400_000));
  await eventually('the upload has begun', () => incoming().length === 1);
  upload.destroy();
  await eventually('the upload is forgotten', () => incoming().length === 0);
  expect(existsSync(pathOf(sha256(bytes)))).toBe(false);
});

it('never gives a damaged file out whole, never registers it, and heals it by a new upload', async () => {
  const large = randomBytes(1_000_000);
  for (const bytes of [onnx, large]) {
    await registry.upload(bytes);
    const damaged = Buffer.from(bytes);
    damaged[100]! ^= 1;
    writeFileSync(pathOf(sha256(bytes)), damaged);
  }
  const small = await fetch(`${registry.service.httpUrl}/artifacts/${onnxSha256}`);
  expect([small.ok, await code(small)]).toEqual([false, 'ARTIFACT_CORRUPT']);
  const streamed = await fetch(`${registry.service.httpUrl}/artifacts/${sha256(large)}`);
  await expect(streamed.arrayBuffer()).rejects.toThrow();
  await expect(registry.client.registerVersion(registration('damaged'))).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' });
  expect((await registry.upload(onnx)).status).toBe(200);
  expect((await fetch(`${registry.service.httpUrl}/artifacts/${onnxSha256}`)).ok).toBe(true);
  expect(await registry.client.registerVersion(registration('healed'))).toMatchObject({ version: 1 });
});

it('registers no artefact that nobody uploaded, that is no ONNX, or that reaches out of its file', async () => {
  const text = Buffer.from('import os; os.system("id")');
  // Appending a field to a protobuf message adds it: a training graph (field 20), and a function (25) with a foreign operator (7: 4 op, 7 domain).
  const training = Buffer.concat([onnx, Buffer.from([0xa2, 0x01, 0x00])]);
  const foreign = Buffer.concat([onnx, Buffer.from([0xca, 0x01, 0x0a, 0x3a, 0x08, 0x22, 0x01, 0x58, 0x3a, 0x03]), Buffer.from('evi')]);
  for (const bytes of [text, training, foreign]) {
    await registry.upload(bytes);
    await expect(registry.client.registerVersion(registration('refused', { artifactSha256: sha256(bytes) }))).rejects.toMatchObject({
      code: 'ARTIFACT_REFUSED',
    });
  }
  await expect(
    registry.client.registerVersion(registration('absent', { artifactSha256: sha256(Buffer.from('absent')) })),
  ).rejects.toMatchObject({ code: 'ARTIFACT_UNKNOWN' });
  expect((await registry.client.listVersions({ model: 'small' })).versions.map((v) => v.runId)).toEqual(['healed']);
});

it('removes what a crash left half written, once no upload can still be alive', async () => {
  mkdirSync(join(folder(), 'incoming'), { recursive: true });
  const [old, young] = ['old', 'young'].map((name) => join(folder(), 'incoming', name));
  for (const path of [old!, young!]) writeFileSync(path, 'half');
  utimesSync(old!, new Date(0), new Date(0));
  await registry.restart();
  expect(incoming()).toEqual(['young']);
});
