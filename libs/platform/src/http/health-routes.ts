import { messageOf } from '@headrace/base/errors';
import type { FastifyInstance } from 'fastify';
import type { Siblings } from '../processes/siblings.js';
import type { Telemetry } from '../telemetry.js';

/** A named check of one dependency; throws when it is not well. */
export type Checks = Readonly<Record<string, () => Promise<void>>>;

/** A dependency that does not answer within this time counts as down. */
const CHECK_TIMEOUT_MS = 2_000;

/**
 * Liveness says only that the event loop turns: a restart does not mend a broken database, so it never looks at one.
 * Readiness looks at every dependency that the service named, and turns false first when the service stops.
 */
export function addHealthRoutes(
  server: FastifyInstance,
  state: () => 'starting' | 'ready' | 'stopping',
  checks: Checks,
  telemetry: Telemetry,
  siblings: Siblings | undefined,
): void {
  server.get('/health/live', () => ({ status: 'live' }));
  server.get('/health/ready', async (_request, reply) => {
    const results = await Promise.all(Object.entries(checks).map(async ([name, check]) => [name, await outcome(check)] as const));
    const ready = state() === 'ready' && results.every(([, result]) => result === 'up');
    return reply
      .status(ready ? 200 : 503)
      .send({ status: ready ? 'ready' : state() === 'ready' ? 'degraded' : state(), checks: Object.fromEntries(results) });
  });
  server.get('/metrics', async (_request, reply) =>
    reply.type(telemetry.registry.contentType).send(await (siblings?.metricsText(telemetry) ?? telemetry.metricsText())),
  );
}

async function outcome(check: () => Promise<void>): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${CHECK_TIMEOUT_MS} ms`)), CHECK_TIMEOUT_MS);
  });
  try {
    await Promise.race([check(), timeout]);
    return 'up';
  } catch (error) {
    return `down: ${messageOf(error)}`;
  } finally {
    clearTimeout(timer);
  }
}
