import { AppError } from '@headrace/base/errors';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Guard } from '../guard.js';
import type { Log } from '../log.js';
import type { Telemetry } from '../telemetry.js';
import { hasCertificate } from './https-door.js';
import { sendProblem } from './problem-filter.js';

/** For routes of a protocol that has a form of errors of its own: `config` of the route. */
export interface RouteConfig {
  readonly sendError?: (reply: FastifyReply, error: unknown) => void;
}

/** Every HTTP route of a service passes here: it is listed for the guard check, and each request is admitted, timed and traced. */
export class HttpDoors {
  /** `GET /models/:model`, in the order of registration. */
  readonly routes: string[] = [];

  /** @param isMutual callers must show a certificate, except at public doors: probes and scrapers have none. */
  install(server: FastifyInstance, guard: Guard, isMutual: boolean, telemetry: Telemetry, log: Log): void {
    const seconds = telemetry.histogram({
      name: 'headrace_http_server_seconds',
      help: 'Time from request to answer',
      labels: ['route', 'status'],
    });
    server.addHook('onRoute', ({ method, url }) => {
      for (const one of [method].flat()) if (one !== 'HEAD' && one !== 'OPTIONS') this.routes.push(`${one} ${url}`);
    });
    server.addHook('onRequest', (request, reply, done) => {
      // An unknown path has no route pattern: let it become a plain 404.
      if (!request.routeOptions.url) return done();
      try {
        if (isMutual && !guard.isPublic('http', door(request)) && !hasCertificate(request.socket))
          throw new AppError('UNAUTHENTICATED', `${door(request)} needs a client certificate of an authority that this service trusts`);
        guard.admit('http', door(request), request.headers.authorization);
      } catch (error) {
        const { sendError } = request.routeOptions.config as RouteConfig;
        return sendError ? sendError(reply, error) : sendProblem(request, reply, error, log);
      }
      telemetry.runIn(header(request, 'traceparent'), done);
    });
    server.addHook('onResponse', (request, reply, done) => {
      seconds.observe(
        { route: request.routeOptions.url ? door(request) : 'unknown', status: String(reply.statusCode) },
        reply.elapsedTime / 1000,
      );
      done();
    });
  }
}

function door(request: FastifyRequest): string {
  return `${request.method === 'HEAD' ? 'GET' : request.method} ${request.routeOptions.url}`;
}

function header(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
