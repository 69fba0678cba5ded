import { createServer } from 'node:net';
import { randomInt } from 'node:crypto';
import { AppError } from '@headrace/base/errors';

/** Below the ephemeral ranges of Linux (32768) and macOS (49152): no outgoing connection can take a port between our look and its use. */
const LOWEST = 20_000;
const HIGHEST = 31_999;
const TRIES = 100;

/** A TCP port of the loopback address that nobody listens on; random, so that two runs that look at the same moment hardly ever meet. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const port = randomInt(LOWEST, HIGHEST + 1);
    if (await isPortFree(port)) return port;
  }
  throw new AppError('INTERNAL', `no free port found between ${LOWEST} and ${HIGHEST} in ${TRIES} tries; close some servers`);
}

export function isPortFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}
