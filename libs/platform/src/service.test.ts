import { AppError } from '@headrace/base/errors';
import { ServerReflectionDefinition } from '@headrace/contracts/grpc/reflection/v1/reflection';
import { HealthDefinition, HealthCheckResponse_ServingStatus as ServingStatus } from '@headrace/contracts/grpc/health/v1/health';
import { TrainerDefinition, Run, RunState } from '@headrace/contracts/training/v1/training';
import { once } from 'node:events';
import { Client as GrpcJsClient, credentials } from '@grpc/grpc-js';
import { Controller, Get, Param } from '@nestjs/common';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { platformKeys, readConfig, type GrpcTransport, type PlatformConfig } from './config.js';
import { createClient } from './grpc/client.js';
import { bindGrpc, type CallContext, type GrpcService, type Implementation } from './grpc/definition.js';
import type { GuardTable } from './guard.js';
import { PlatformModule } from './platform-module.js';
import { startService, type RunningService } from './service.js';

@Controller('things')
class Things {
  @Get(':id')
  get(@Param('id') id: string): { id: string } {
    if (id === 'none') throw new AppError('MODEL_UNKNOWN', 'no model none', { details: { model: 'none' } });
    if (id === 'bug') throw new TypeError('secret internals');
    return { id };
  }
}

const run = (more: Partial<Run>): Run => ({ ...Run.create({ state: RunState.QUEUED }), ...more });
let seen: CallContext | undefined;
const trainer: Implementation<typeof TrainerDefinition> = {
  requestRun: async (request, call) => {
    seen = call;
    if (request.model === 'unknown') throw new AppError('MODEL_UNKNOWN', 'no model unknown', { details: { model: 'unknown' } });
    if (request.model === 'slow') await new Promise((resolve) => setTimeout(resolve, 5_000).unref());
    return run({ model: request.model, runId: 'r1' });
  },
  getRun: async (request) => run({ runId: request.runId }),
  listRuns: async () => ({ runs: [] }),
  cancelRun: async () => {
    throw new TypeError('secret internals');
  },
};

/** GetRun answers by handle where the transport can, with the run id that was asked for or an error for an empty one. */
function hotGetRun(service: GrpcService): GrpcService {
  const methods = service.methods.map((method): GrpcService['methods'][number] => {
    if (!method.path.endsWith('/GetRun')) return method;
    return {
      ...method,
      hot: (replies, refuse) => ({
        onMessage: (bytes, start, end, reply) => {
          const request = Buffer.from(bytes.subarray(start, end));
          try {
            const answer = Buffer.from(method.response.encode(run({ runId: (method.request.decode(request) as { runId: string }).runId })));
            replies.ok(reply, answer, 0, answer.length);
          } catch (error) {
            refuse(
              reply,
              new AppError('REQUEST_INVALID', 'not a valid message', { details: { bytes: String(request.length) }, cause: error }),
            );
          }
        },
        onTick: () => undefined,
      }),
    };
  });
  return { ...service, methods };
}

const guard: GuardTable = {
  http: { 'GET /things/:id': 'training:read' },
  grpc: Object.fromEntries(
    Object.values(TrainerDefinition.methods).map((m) => [`/headrace.training.v1.Trainer/${m.name}`, 'training:run' as const]),
  ),
  topics: {},
};

let transport: GrpcTransport = 'grpc-js';
let running: RunningService | undefined;
afterEach(async () => {
  await running?.close();
  running = undefined;
});

function config(overrides: Partial<PlatformConfig> = {}): PlatformConfig {
  return readConfig(
    platformKeys({ httpPort: 0, grpcPort: 0, database: 'x' }),
    {},
    { logLevel: 'silent', shutdownTimeoutMs: 500, grpcTransport: transport, ...overrides },
  );
}

async function open(overrides: Partial<PlatformConfig> = {}, table = guard): Promise<RunningService> {
  const settings = config(overrides);
  const module = { module: class TestModule {}, imports: [PlatformModule.forRoot('trainer', settings)], controllers: [Things] };
  running = await startService({
    name: 'trainer',
    config: settings,
    module,
    guard: table,
    grpc: () => [hotGetRun(bindGrpc(TrainerDefinition, trainer))],
  });
  return running;
}

describe.each<GrpcTransport>(['grpc-js', 'wire'])('startService over %s', (name) => {
  beforeAll(() => {
    transport = name;
  });

  it('answers over HTTP and gRPC, with health and metrics', async () => {
    const service = await open();
    expect(await (await fetch(`${service.httpUrl}/things/7`)).json()).toEqual({ id: '7' });
    expect((await fetch(`${service.httpUrl}/health/live`)).status).toBe(200);
    expect(await (await fetch(`${service.httpUrl}/health/ready`)).json()).toEqual({ status: 'ready', checks: {} });
    const client = createClient(TrainerDefinition, service.grpcAddress);
    const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
    expect(await client.requestRun({ model: 'm' }, { traceparent })).toMatchObject({ model: 'm', runId: 'r1' });
    expect(seen).toMatchObject({ traceparent, method: '/headrace.training.v1.Trainer/RequestRun' });
    expect(await (await fetch(`${service.httpUrl}/metrics`)).text()).toMatch(
      /headrace_grpc_server_seconds_count\{.*RequestRun.*code="OK".*\} 1/,
    );
    client.close();
  });

  it('turns errors into problem+json and into gRPC status with the same code, and hides defects', async () => {
    const service = await open();
    const problem = await fetch(`${service.httpUrl}/things/none`);
    expect(problem.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(await problem.json()).toMatchObject({ status: 404, code: 'MODEL_UNKNOWN', detail: 'no model none', details: { model: 'none' } });
    const bug = await (await fetch(`${service.httpUrl}/things/bug`)).text();
    expect(bug).toContain('INTERNAL');
    expect(bug).not.toContain('secret');
    expect((await fetch(`${service.httpUrl}/nowhere`)).status).toBe(404);

    const client = createClient(TrainerDefinition, service.grpcAddress);
    await expect(client.requestRun({ model: 'unknown' })).rejects.toMatchObject({
      code: 'MODEL_UNKNOWN',
      message: 'no model unknown',
      details: { model: 'unknown' },
    });
    await expect(client.cancelRun({})).rejects.toMatchObject({
      code: 'INTERNAL',
      message: expect.not.stringContaining('secret') as string,
    });
    await expect(client.requestRun({ model: 'slow' }, { timeoutMs: 100 })).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    client.close();
  });

  it('answers a request that is no valid message with REQUEST_INVALID', async () => {
    const service = await open();
    const raw = new GrpcJsClient(service.grpcAddress, credentials.createInsecure());
    const failure = await new Promise<{ code: number }>((resolve) =>
      raw.makeUnaryRequest(
        '/headrace.training.v1.Trainer/GetRun',
        (b: Buffer) => b,
        (b: Buffer) => b,
        Buffer.from([0x0a, 0x7f, 1]),
        (error) => resolve(error as { code: number }),
      ),
    );
    expect(failure.code).toBe(3);
    raw.close();
  });

  it('says that it serves, and stops saying so before it closes', async () => {
    const service = await open();
    const health = createClient(HealthDefinition, service.grpcAddress);
    expect(await health.check({ service: 'headrace.training.v1.Trainer' })).toEqual({ status: ServingStatus.SERVING });
    await expect(health.check({ service: 'nope' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const { requestType, responseType } = HealthDefinition.methods.watch;
    const raw = new GrpcJsClient(service.grpcAddress, credentials.createInsecure());
    const watch = raw.makeServerStreamRequest(
      '/grpc.health.v1.Health/Watch',
      (m: ReturnType<typeof requestType.decode>) => Buffer.from(requestType.encode(m).finish()),
      (b: Buffer) => responseType.decode(b),
      { service: '' },
    );
    const states: ServingStatus[] = [];
    const ended = new Promise((resolve) => watch.on('error', resolve).on('end', resolve));
    watch.on('data', ({ status }: { status: ServingStatus }) => states.push(status));
    await once(watch, 'data');
    health.close();
    await service.close();
    await ended;
    raw.close();
    expect(states).toEqual([ServingStatus.SERVING, ServingStatus.NOT_SERVING]);
    await expect(fetch(`${service.httpUrl}/health/live`)).rejects.toThrow();
  });

  it('lists and describes its services by reflection', async () => {
    const service = await open();
    const raw = new GrpcJsClient(service.grpcAddress, credentials.createInsecure());
    const { requestType, responseType } = ServerReflectionDefinition.methods.serverReflectionInfo;
    const stream = raw.makeBidiStreamRequest(
      '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
      (m: ReturnType<typeof requestType.decode>) => Buffer.from(requestType.encode(m).finish()),
      (b: Buffer) => responseType.decode(b),
    );
    stream.write({ host: '', messageRequest: { $case: 'listServices', value: '' } });
    stream.write({ host: '', messageRequest: { $case: 'fileContainingSymbol', value: 'headrace.training.v1.Trainer' } });
    stream.end();
    const answers: ReturnType<typeof responseType.decode>[] = [];
    for await (const answer of stream) answers.push(answer as ReturnType<typeof responseType.decode>);
    expect(answers[0]?.messageResponse).toMatchObject({
      value: { service: expect.arrayContaining([{ name: 'headrace.training.v1.Trainer' }]) as unknown },
    });
    const files = answers[1]?.messageResponse;
    expect(files?.$case === 'fileDescriptorResponse' && files.value.fileDescriptorProto.length).toBe(3);
    raw.close();
  });

  it('asks for the key at every door but health, when one is set', async () => {
    const service = await open({ apiKey: 'a-key-of-twenty-chars' });
    expect((await fetch(`${service.httpUrl}/things/7`)).status).toBe(401);
    expect((await fetch(`${service.httpUrl}/things/7`, { headers: { authorization: 'Bearer wrong' } })).status).toBe(401);
    expect((await fetch(`${service.httpUrl}/things/7`, { headers: { authorization: 'Bearer a-key-of-twenty-chars' } })).status).toBe(200);
    expect((await fetch(`${service.httpUrl}/health/live`)).status).toBe(200);
    const bare = createClient(TrainerDefinition, service.grpcAddress);
    const keyed = createClient(TrainerDefinition, service.grpcAddress, { apiKey: 'a-key-of-twenty-chars' });
    const wrong = createClient(TrainerDefinition, service.grpcAddress, { apiKey: 'another-key-of-chars' });
    for (const method of ['getRun', 'requestRun'] as const) {
      for (let i = 0; i < 3; i++) {
        await expect(bare[method]({})).rejects.toMatchObject({
          code: 'UNAUTHENTICATED',
          message: expect.stringContaining('needs an API key') as string,
        });
        await expect(wrong[method]({})).rejects.toMatchObject({ code: 'UNAUTHENTICATED', message: 'the API key is not valid' });
        expect(await keyed[method]({})).toBeDefined();
      }
    }
    wrong.close();
    bare.close();
    keyed.close();
  });

  it('refuses to start beyond loopback without a key', async () => {
    await expect(open({ host: '0.0.0.0' })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('HEADRACE_API_KEY') as string,
    });
  });

  it('refuses to start with a route or method outside the guard table, or a row without a door', async () => {
    await expect(open({}, { ...guard, http: {} })).rejects.toThrow(/without a row in the guard table: GET \/things\/:id/);
    await expect(open({}, { ...guard, grpc: {} })).rejects.toThrow(/Trainer\/RequestRun/);
    await expect(open({}, { ...guard, http: { ...guard.http, 'GET /thing/:id': 'admin' } })).rejects.toThrow(
      /without a door: GET \/thing\/:id/,
    );
  });
});

describe('readConfig', () => {
  it('lists every mistake together and never prints a secret', () => {
    const act = (): unknown =>
      readConfig(platformKeys({ httpPort: 1, grpcPort: 2, database: 'x' }), {
        HEADRACE_HTTP_PORT: 'many',
        HEADRACE_LOG_LEVEL: 'loud',
        HEADRACE_GRPC_PORT: '99999',
      });
    expect(act).toThrow(/3 mistake.*HEADRACE_HTTP_PORT = "many".*HEADRACE_GRPC_PORT = "99999".*HEADRACE_LOG_LEVEL = "loud"/s);
  });
});
