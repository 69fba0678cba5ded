import { AppError, ERROR_CODES, toAppError, type ErrorKind } from '@headrace/base/errors';
import { Catch, HttpException, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Log } from '../log.js';

/** The one table: kind of error -> HTTP status. */
export const HTTP_STATUS: Readonly<Record<ErrorKind, number>> = {
  INVALID_ARGUMENT: 400,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  FAILED_PRECONDITION: 409,
  RESOURCE_EXHAUSTED: 429,
  UNAVAILABLE: 503,
  DEADLINE_EXCEEDED: 504,
  CANCELLED: 499,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  DATA_LOSS: 422,
  INTERNAL: 500,
};

/** RFC 9457 problem+json, with our code and what to do as extension members. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly instance: string;
  readonly code: string;
  readonly fix: string;
  readonly details: Readonly<Record<string, string>>;
}

export function toProblem(error: AppError, instance: string): Problem {
  const { kind, fix } = ERROR_CODES[error.code];
  return {
    type: `urn:headrace:error:${error.code}`,
    title: error.code,
    status: HTTP_STATUS[kind],
    detail: error.message,
    instance,
    code: error.code,
    fix,
    details: error.details,
  };
}

@Catch()
export class ProblemFilter implements ExceptionFilter {
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  catch(thrown: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    sendProblem(http.getRequest<FastifyRequest>(), http.getResponse<FastifyReply>(), fromFramework(thrown), this.#log);
  }
}

export function sendProblem(request: FastifyRequest, reply: FastifyReply, thrown: unknown, log: Log): void {
  const error = toAppError(thrown);
  if (error.code === 'INTERNAL') log.error('http request failed', { method: request.method, path: request.url, error: thrown });
  const problem = toProblem(error, request.url);
  void reply.status(problem.status).type('application/problem+json').send(JSON.stringify(problem));
}

/** What Nest and Fastify throw by themselves: unknown path, unreadable body, body too large. */
export function fromFramework(thrown: unknown): unknown {
  if (thrown instanceof AppError) return thrown;
  const status = thrown instanceof HttpException ? thrown.getStatus() : statusOf(thrown);
  if (status === 404) return new AppError('NOT_FOUND', messageOf(thrown));
  if (status === 413) return new AppError('MESSAGE_TOO_LARGE', 'the request body is larger than this route allows');
  if (status !== undefined && status >= 400 && status < 500) return new AppError('REQUEST_INVALID', messageOf(thrown));
  return thrown;
}

function statusOf(thrown: unknown): number | undefined {
  if (typeof thrown !== 'object' || thrown === null || !('statusCode' in thrown)) return undefined;
  return typeof thrown.statusCode === 'number' ? thrown.statusCode : undefined;
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : 'the request was refused';
}
