import { AppError } from '@headrace/base/errors';
import { Run, TrainerDefinition } from '@headrace/contracts/training/v1/training';
import { CertificateFolder, TestAuthority } from '@headrace/testkit/certificates';
import { eventually } from '@headrace/testkit/eventually';
import { LiveTlsMaterial } from '@headrace/wire/tls-material';
import { Controller, Get, Param, Post, Req } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { platformKeys, readConfig, type GrpcTransport, type PlatformConfig } from '../config.js';
import { createClient } from '../grpc/client.js';
import { bindGrpc, type Implementation } from '../grpc/definition.js';
import type { GuardTable } from '../guard.js';
import { fetchOver } from '../http/fetch.js';
import { PlatformModule } from '../platform-module.js';
import { startService, type RunningService } from '../service.js';

@Controller('things')
class Things {
  @Get(':id')
  get(@Param('id') id: string): { id: string } {
    return { id };
  }

  @Post('size')
  size(@Req() request: FastifyRequest): { length: string | undefined; size: number } {
    return { length: request.headers['content-length'], size: (request.body as { text: string }).text.length };
  }
}

const run = (runId: string): Run => ({ ...Run.create(), runId });
let inside = 0;
const trainer: Implementation<typeof TrainerDefinition> = {
  requestRun: async ({ model }) => {
    inside++;
    await new Promise((resolve) => setTimeout(resolve, 100));
    return run(model);
  },
  getRun: async ({ runId }) => run(runId),
  listRuns: async () => ({ runs: [] }),
  cancelRun: () => Promise.reject(new AppError('NOT_FOUND', 'no')),
};
const guard: GuardTable = {
  http: { 'GET /things/:id': 'training:read', 'POST /things/size': 'training:read' },
  grpc: Object.fromEntries(
    Object.values(TrainerDefinition.methods).map((m) => [`/headrace.training.v1.Trainer/${m.name}`, 'training:run' as const]),
  ),
  topics: {},
};

const authority = new TestAuthority();
const folder = new CertificateFolder();
afterAll(() => folder.remove());
const caFile = folder.file('ca.pem', authority.cert);
const ca = Buffer.from(authority.cert);
const trusting = new LiveTlsMaterial({ ca });
const caller = authority.issue({ name: 'caller' });
const showing = new LiveTlsMaterial({ ca, cert: Buffer.from(caller.cert), key: Buffer.from(caller.key) });

describe.each<GrpcTransport>(['grpc-js', 'wire'])('doors that speak TLS, over %s', (grpcTransport) => {
  let running: RunningService | undefined;
  let files: { certFile: string; keyFile: string };
  beforeEach(() => {
    files = folder.write('door', authority.issue({ name: 'first' }));
  });
  afterEach(async () => {
    await running?.close();
    running = undefined;
  });

  async function open(more: Partial<PlatformConfig> = {}): Promise<RunningService> {
    const config = readConfig(
      platformKeys({ httpPort: 0, grpcPort: 0, database: 'x' }),
      {},
      {
        logLevel: 'silent',
        shutdownTimeoutMs: 2_000,
        grpcTransport,
        tlsCertFile: files.certFile,
        tlsKeyFile: files.keyFile,
        tlsReloadMs: 50,
        ...more,
      },
    );
    const module = { module: class TestModule {}, imports: [PlatformModule.forRoot('trainer', config)], controllers: [Things] };
    running = await startService({ name: 'trainer', config, module, guard, grpc: () => [bindGrpc(TrainerDefinition, trainer)] });
    return running;
  }
  const call = async (address: string, tls: LiveTlsMaterial | undefined): Promise<string> => {
    const client = createClient(TrainerDefinition, address, { tls, defaultTimeoutMs: 5_000 });
    try {
      return (await client.getRun({ runId: 'r' })).runId;
    } finally {
      client.close();
    }
  };

  it('answer gRPC and HTTP at addresses that say so, also large bodies', async () => {
    const { httpUrl, grpcAddress } = await open();
    expect([httpUrl, grpcAddress]).toEqual([expect.stringMatching(/^https:\/\/127/), expect.stringMatching(/^https:\/\/127/)]);
    expect(await call(grpcAddress, trusting)).toBe('r');
    const fetch = fetchOver(trusting);
    expect(await (await fetch(`${httpUrl}/things/7`)).json()).toEqual({ id: '7' });
    const body = new Blob([JSON.stringify({ text: 'x'.repeat(3_000_000) })]);
    const answer = await fetch(`${httpUrl}/things/size`, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
    expect([answer.status, await answer.json()]).toEqual([201, { length: String(body.size), size: 3_000_000 }]);
    await expect(fetch(`${httpUrl}/things/7`, { signal: AbortSignal.abort(new Error('stop')) })).rejects.toThrow(/stop|abort/i);
  });

  it('are refused by callers who do not know the authority, and silent to plain text', async () => {
    const { httpUrl, grpcAddress } = await open();
    await expect(call(grpcAddress, new LiveTlsMaterial({}))).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
    await expect(fetchOver(new LiveTlsMaterial({}))(`${httpUrl}/things/7`)).rejects.toThrow(/unable to|self-signed|certificate/i);
    await expect(call(grpcAddress.replace('https://', ''), undefined)).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
    await expect(fetch(`${httpUrl.replace('https', 'http')}/things/7`)).rejects.toThrow();
  });

  it('verify callers where authorities of callers are named; probes and scrapers need no certificate', async () => {
    const { httpUrl, grpcAddress } = await open({ tlsClientCaFile: caFile });
    expect(await call(grpcAddress, showing)).toBe('r');
    await expect(call(grpcAddress, trusting)).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
    const status = async (path: string, tls: LiveTlsMaterial): Promise<number> => (await fetchOver(tls)(`${httpUrl}${path}`)).status;
    expect(await status('/things/7', showing)).toBe(200);
    expect(await status('/things/7', trusting)).toBe(401);
    const stranger = new TestAuthority('other').issue({ name: 'caller' });
    expect(await status('/things/7', new LiveTlsMaterial({ ca, cert: Buffer.from(stranger.cert), key: Buffer.from(stranger.key) }))).toBe(
      401,
    );
    for (const path of ['/health/live', '/health/ready', '/metrics']) expect(await status(path, trusting), path).toBe(200);
  });

  it('do not take a resumed session without certificate for one with', async () => {
    const { httpUrl } = await open({ tlsClientCaFile: caFile });
    const port = Number(new URL(httpUrl).port);
    const ask = async (path: string, session?: Buffer): Promise<{ status: string; session: Buffer; isReused: boolean }> => {
      const socket: TLSSocket = connect({ host: '127.0.0.1', port, ca, ...(session ? { session } : {}) });
      const kept: Buffer[] = [];
      socket.on('session', (ticket: Buffer) => kept.push(ticket));
      await once(socket, 'secureConnect');
      socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
      const [chunk] = (await once(socket, 'data')) as [Buffer];
      const answer = { status: chunk.toString('latin1', 9, 12), session: kept.at(-1)!, isReused: socket.isSessionReused() };
      socket.destroy();
      return answer;
    };
    const first = await ask('/health/live');
    const second = await ask('/things/7', first.session);
    expect([first.status, second.isReused, second.status]).toEqual(['200', true, '401']);
  });

  it('take renewed files without a restart, keep the earlier ones when the new cannot be used, and tell it by metrics', async () => {
    const service = await open({ tlsCaFile: caFile });
    const { httpUrl, grpcAddress } = service;
    const shown = async (address: string): Promise<string> => {
      const socket = connect({
        host: '127.0.0.1',
        port: Number(new URL(address).port),
        ca,
        ALPNProtocols: [address === httpUrl ? 'http/1.1' : 'h2'],
      });
      await once(socket, 'secureConnect');
      const { CN } = socket.getPeerCertificate().subject as unknown as { CN: string };
      socket.destroy();
      return CN;
    };
    const bothShow = async (): Promise<string[]> => [await shown(httpUrl), await shown(grpcAddress)];
    const reloads = async (outcome: string): Promise<number> =>
      Number(
        new RegExp(`^headrace_tls_reloads_total\\{use="doors",outcome="${outcome}".*\\} (\\d+)$`, 'm').exec(
          await (await fetchOver(trusting)(`${httpUrl}/metrics`)).text(),
        )?.[1] ?? 0,
      );
    const held = createClient(TrainerDefinition, grpcAddress, { tls: trusting });
    await held.getRun({ runId: 'r' });
    expect(await bothShow()).toEqual(['first', 'first']);

    // An operator's tool writes the certificate first, and for a moment it has the old key.
    const second = authority.issue({ name: 'second' });
    folder.file('door.crt', second.cert);
    folder.file('door.key', second.key);
    await eventually('the second is shown', async () => (await bothShow()).every((name) => name === 'second'));

    folder.file('door.crt', 'half a certifi');
    await eventually('the broken file is counted', async () => (await reloads('refused')) === 1);
    rmSync(files.certFile);
    await eventually('the missing file is counted', async () => (await reloads('refused')) === 2);
    expect(await bothShow()).toEqual(['second', 'second']);

    folder.write('door', authority.issue({ name: 'third' }));
    await service.reload!();
    expect(await bothShow()).toEqual(['third', 'third']);
    expect(await reloads('renewed')).toBeGreaterThanOrEqual(2);
    expect((await held.getRun({ runId: 'still' })).runId).toBe('still');
    held.close();
    expect(await (await fetchOver(trusting)(`${httpUrl}/metrics`)).text()).toMatch(
      /^headrace_tls_not_after_timestamp_seconds\{use="doors",part="cert".*\} \d{10}/m,
    );
  });

  it('are closed without losing a call in flight', async () => {
    const service = await open();
    const client = createClient(TrainerDefinition, service.grpcAddress, { tls: trusting, defaultTimeoutMs: 5_000 });
    inside = 0;
    const calls = Array.from({ length: 200 }, (_, i) => client.requestRun({ model: `r${i}` }));
    await eventually('all are inside', () => inside === 200);
    await Promise.all([service.close(), ...calls]);
    expect((await Promise.all(calls)).map(({ runId }) => runId)).toEqual(Array.from({ length: 200 }, (_, i) => `r${i}`));
    client.close();
  });
});

it('without files the doors speak plain text, nothing is measured, and there is nothing to reload', async () => {
  const config = readConfig(platformKeys({ httpPort: 0, grpcPort: 0, database: 'x' }), {}, { logLevel: 'silent' });
  const module = { module: class TestModule {}, imports: [PlatformModule.forRoot('trainer', config)], controllers: [Things] };
  const service = await startService({ name: 'trainer', config, module, guard, grpc: () => [bindGrpc(TrainerDefinition, trainer)] });
  expect(service.reload).toBeUndefined();
  expect([service.httpUrl, service.grpcAddress]).toEqual([expect.stringMatching(/^http:/), expect.stringMatching(/^127/)]);
  expect(await (await fetch(`${service.httpUrl}/metrics`)).text()).not.toContain('headrace_tls_');
  await service.close();
});
