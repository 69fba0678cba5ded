import { AppError, messageOf, toAppError } from '@headrace/base/errors';
import { fromFramework, toProblem } from '@headrace/platform/http/problem-filter';
import { Log } from '@headrace/platform/log';
import { Injectable } from '@nestjs/common';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { promisify } from 'node:util';
import { gunzip, inflate } from 'node:zlib';
import { z } from 'zod';
import { InferDoor } from './infer-door.js';
import { PROJECT_HEADER, refuseRepositoryParameters } from './infer-messages.js';
import { readInference, writeInference } from './inference-http-body.js';
import { InferenceViews } from './inference-views.js';

/** A request over HTTP is given up after this time; who needs another deadline sends `timeout`, or uses gRPC. */
const DEADLINE_MS = 10_000;
/** Of a body that came compressed; that of one that did not is the platform's. */
const INFLATED_BYTES_MAX = 16 * 1024 * 1024;
const HEADER_LENGTH = 'inference-header-content-length';

interface Named {
  readonly Params: { readonly model: string; readonly version?: string };
}

const repositoryBody = z.object({
  ready: z.boolean().default(false),
  parameters: z.record(z.string(), z.unknown()).default({}),
});

/**
 * The Open Inference Protocol over HTTP, with Triton's extensions. Routes of Fastify and not of Nest: bodies are bytes whatever they call
 * themselves (JSON with tensors behind it), and errors are `{"error": "..."}`.
 */
@Injectable()
export class InferenceHttp {
  constructor(
    private readonly views: InferenceViews,
    private readonly door: InferDoor,
    private readonly log: Log,
  ) {}

  /** Resolves when every route is there, so that the guard table can be held against them. */
  async install(server: FastifyInstance): Promise<void> {
    await server.register(
      (scope, _options, done) => {
        scope.removeAllContentTypeParsers();
        scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, parsed) => parsed(null, body));
        scope.setErrorHandler((error, _request, reply) => this.#sendError(reply, error));
        scope.setNotFoundHandler((request, reply) =>
          this.#sendError(reply, new AppError('NOT_FOUND', `there is no ${request.method} ${request.url}`)),
        );
        this.#routes(scope);
        done();
      },
      { prefix: '/v2' },
    );
  }

  #routes(scope: FastifyInstance): void {
    const { views } = this;
    const route = { config: { sendError: this.#sendError }, prefixTrailingSlash: 'no-slash' } as const;
    scope.get('/', route, () => views.server());
    scope.get('/health/live', route, () => ({ live: true }));
    scope.get('/health/ready', route, (_request, reply) => ready(reply, views.isReady(), {}));
    scope.get('/models/stats', route, async (request) => ({ model_stats: snakeCase(await views.statistics(projectOf(request), '', '')) }));
    for (const path of ['/models/:model', '/models/:model/versions/:version']) {
      scope.get<Named>(path, route, (request) => snakeCase(views.metadata(...target(request))));
      scope.get<Named>(`${path}/ready`, route, (request, reply) => {
        const name = request.params.model;
        return ready(reply, views.isModelReady(...target(request)), { name });
      });
      scope.get<Named>(`${path}/config`, route, (request) => snakeCase(views.config(...target(request))));
      scope.get<Named>(`${path}/stats`, route, async (request) => ({ model_stats: snakeCase(await views.statistics(...target(request))) }));
      scope.post<Named>(`${path}/infer`, route, (request, reply) => this.#infer(request, reply));
    }
    scope.post('/repository/index', route, (request) => views.index(projectOf(request), repositoryRequest(request).ready));
    scope.post<Named>('/repository/models/:model/load', route, async (request) => {
      const { parameters } = repositoryRequest(request);
      refuseRepositoryParameters(Object.keys(parameters));
      const version = parameters['version'];
      await views.load(projectOf(request), request.params.model, version === undefined ? '' : String(version as string | number));
      return {};
    });
    scope.post<Named>('/repository/models/:model/unload', route, async (request) => {
      await views.unload(projectOf(request), request.params.model);
      return {};
    });
  }

  /** `{"error": "..."}` with the status of the kind of error, also for what the guard refuses. */
  readonly #sendError = (reply: FastifyReply, thrown: unknown): void => {
    const error = toAppError(fromFramework(thrown));
    if (error.code === 'INTERNAL')
      this.log.error('http request failed', { method: reply.request.method, path: reply.request.url, error: thrown });
    const { status, detail } = toProblem(error, '');
    // Bytes, because a charset would be added to a text, and KServe's client reads an error of exactly this type.
    void reply
      .status(status)
      .header('content-type', 'application/json')
      .send(Buffer.from(JSON.stringify({ error: detail })));
  };

  async #infer(request: FastifyRequest<Named>, reply: FastifyReply): Promise<void> {
    const [project, model, version] = target(request);
    const deadlineMs = Date.now() + DEADLINE_MS;
    const bytes = await inflated(request);
    const { request: tensors, isBinary } = readInference(bytes, headerLength(request), { project, model, version, deadlineMs });
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    const answer = await this.door.infer(tensors, gone.signal, (name) => header(request, name));
    const written = writeInference(answer, isBinary);
    if (written.headerLength === undefined) void reply.type('application/json');
    else void reply.type('application/octet-stream').header(HEADER_LENGTH, String(written.headerLength));
    return reply.send(written.body);
  }
}

/** The protocol says readiness by the status; some clients read the body. */
function ready(reply: FastifyReply, isReady: boolean, more: object): object {
  void reply.status(isReady ? 200 : 400);
  return { ...more, ready: isReady };
}

function target({ params, headers }: FastifyRequest<Named>): [project: string, model: string, version: string] {
  return [String(headers[PROJECT_HEADER] ?? ''), params.model, params.version ?? ''];
}

function projectOf(request: FastifyRequest): string {
  return header(request, PROJECT_HEADER);
}

function header(request: Pick<FastifyRequest, 'headers'>, name: string): string {
  const value = request.headers[name];
  return (Array.isArray(value) ? value[0] : value) ?? '';
}

/** @throws AppError REQUEST_INVALID */
function headerLength(request: Pick<FastifyRequest, 'headers'>): number | undefined {
  const text = header(request, HEADER_LENGTH);
  if (text === '') return undefined;
  if (!/^[0-9]{1,9}$/.test(text))
    throw new AppError('REQUEST_INVALID', `${HEADER_LENGTH} is ${JSON.stringify(text)}; it is a number of bytes`);
  return Number(text);
}

/** @throws AppError REQUEST_INVALID, MESSAGE_TOO_LARGE */
async function inflated(request: Pick<FastifyRequest, 'headers' | 'body'>): Promise<Buffer> {
  const bytes = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  const encoding = header(request, 'content-encoding').toLowerCase();
  if (encoding === '' || encoding === 'identity') return bytes;
  const unpack = { gzip: promisify(gunzip), deflate: promisify(inflate) }[encoding];
  if (!unpack) throw new AppError('REQUEST_INVALID', `the content encoding ${encoding} is not taken; send gzip, deflate or none`);
  try {
    return await unpack(bytes, { maxOutputLength: INFLATED_BYTES_MAX });
  } catch (error) {
    if (error instanceof RangeError)
      throw new AppError('MESSAGE_TOO_LARGE', `the body is larger than ${INFLATED_BYTES_MAX} bytes when it is unpacked`, { cause: error });
    throw new AppError('REQUEST_INVALID', `the body cannot be unpacked as ${encoding}: ${messageOf(error)}`);
  }
}

/** @throws AppError REQUEST_INVALID. An empty body asks for nothing special. */
function repositoryRequest(request: Pick<FastifyRequest, 'body'>): z.output<typeof repositoryBody> {
  const text = Buffer.isBuffer(request.body) ? request.body.toString('utf8') : '';
  if (text.trim() === '') return { ready: false, parameters: {} };
  try {
    return repositoryBody.parse(JSON.parse(text));
  } catch (error) {
    throw new AppError('REQUEST_INVALID', `the body is no repository request: ${messageOf(error)}`);
  }
}

/** Keys as they are in the proto; absent parts are left out. */
function snakeCase(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snakeCase);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, part]) => part !== undefined)
      .map(([key, part]) => [key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), snakeCase(part)]),
  );
}
