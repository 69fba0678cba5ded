import type { FastifyInstance } from 'fastify';
import type { Server as HttpsServer, ServerOptions } from 'node:https';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { readSync, doorFiles, type TlsPaths } from '../tls/tls-files.js';
import type { TlsCertificates } from '../tls/tls-certificates.js';

const MIN_VERSION = 'TLSv1.2';
/** A peer that connects and does not end its handshake. */
const HANDSHAKE_MS = 10_000;

/** For Fastify; nothing without a certificate. Callers are asked for theirs, and `hasCertificate` judges each request: health must answer probes that have none. */
export function httpsOptions(paths: TlsPaths): { readonly https?: ServerOptions } {
  if (!paths.tlsCertFile) return {};
  return {
    https: {
      ...(readSync(doorFiles(paths)) as Record<string, Buffer>),
      minVersion: MIN_VERSION,
      handshakeTimeout: HANDSHAKE_MS,
      requestCert: paths.tlsClientCaFile !== '',
      rejectUnauthorized: false,
    },
  };
}

/** New connections get what is renewed. @returns stops it */
export function followRenewals(server: FastifyInstance, { doors }: TlsCertificates): () => void {
  return (
    doors?.follow((material) => (server.server as unknown as HttpsServer).setSecureContext({ ...material, minVersion: MIN_VERSION })) ??
    (() => undefined)
  );
}

const verified = new WeakMap<Socket, boolean>();

/**
 * The caller has shown a certificate that an authority of ours signed. Both are asked for: whether a resumed session that never had one counts as
 * `authorized` has differed between TLS versions.
 */
export function hasCertificate(socket: Socket): boolean {
  const known = verified.get(socket);
  if (known !== undefined) return known;
  const is = socket instanceof TLSSocket && socket.authorized && socket.getPeerX509Certificate() !== undefined;
  verified.set(socket, is);
  return is;
}
