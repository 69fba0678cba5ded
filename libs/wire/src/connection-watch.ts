import { ConnectionError, ErrorCode, writePing } from './frames.js';
import type { Limits } from './limits.js';
import type { ServerConnection } from './server-connection.js';
import { GrpcError, Status } from './status.js';

/** The slowest upload that is still progress, bytes a millisecond (10 KB/s): a large message gets more time than `halfSentMs`. */
const SLOWEST_BYTES_PER_MS = 10;
/** A client that does not answer the PING of a drain gets the final GOAWAY after this. */
const DRAIN_PING_MS = 1000;
const KEEPALIVE_PING = Buffer.from('alive?..', 'latin1');

/** Notes of the watch about one connection; the rest it reads from the connection. */
interface Notes {
  pingSentMs: number;
  stalledSinceMs: number;
  waitingBytes: number;
  drainSinceMs: number;
  ageLimitMs: number;
}
const notesOf = new WeakMap<ServerConnection, Notes>();

/** The regular look at one connection: all bounds that are about time. */
export function watchConnection(connection: ServerConnection, limits: Limits, nowMs: number): void {
  let notes = notesOf.get(connection);
  if (notes === undefined) {
    const jitter = 0.9 + Math.random() * 0.2;
    notesOf.set(
      connection,
      (notes = {
        pingSentMs: 0,
        stalledSinceMs: 0,
        waitingBytes: 0,
        drainSinceMs: 0,
        ageLimitMs: limits.connectionAgeMs > 0 ? limits.connectionAgeMs * jitter : Infinity,
      }),
    );
  }
  const { session } = connection;
  if (session.closed) return;
  if (!session.settingsAcknowledged && nowMs - session.openedMs > limits.handshakeMs) {
    if (connection.prefaceDone) session.fail(new ConnectionError(ErrorCode.SETTINGS_TIMEOUT, 'SETTINGS were not acknowledged'));
    else session.destroy();
    return;
  }
  if (session.partialSinceMs > 0 && nowMs - session.partialSinceMs > limits.halfSentMs) {
    session.fail(new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, 'a frame or header block was begun and not finished'));
    return;
  }
  if (isStalled(connection, notes, limits, nowMs)) {
    session.destroy();
    return;
  }
  endHalfSentRequests(connection, limits, nowMs);
  watchAge(connection, notes, limits, nowMs);
  watchKeepalive(connection, notes, limits, nowMs);
}

/** The peer takes nothing of what waits for it. */
function isStalled(connection: ServerConnection, notes: Notes, limits: Limits, nowMs: number): boolean {
  const waiting = connection.session.output.waitingBytes;
  if (waiting === 0 || waiting < notes.waitingBytes) notes.stalledSinceMs = 0;
  else if (notes.stalledSinceMs === 0) notes.stalledSinceMs = nowMs;
  notes.waitingBytes = waiting;
  return notes.stalledSinceMs > 0 && nowMs - notes.stalledSinceMs > limits.outputStallMs;
}

function endHalfSentRequests(connection: ServerConnection, limits: Limits, nowMs: number): void {
  if (connection.streams.count === 0) return;
  for (const stream of connection.streams.all()) {
    if (stream.remoteEnded || stream.partialSinceMs === 0) continue;
    if (nowMs - stream.partialSinceMs > limits.halfSentMs + stream.receivedBytes / SLOWEST_BYTES_PER_MS) {
      stream.onInboxError(
        new GrpcError(Status.DEADLINE_EXCEEDED, `The request was begun and not finished within ${limits.halfSentMs} ms.`),
      );
    }
  }
}

function watchAge(connection: ServerConnection, notes: Notes, limits: Limits, nowMs: number): void {
  const { session } = connection;
  const tooOld = nowMs - session.openedMs > notes.ageLimitMs;
  const tooIdle = limits.connectionIdleMs > 0 && connection.streams.count === 0 && nowMs - connection.idleSinceMs > limits.connectionIdleMs;
  if (tooOld || tooIdle) connection.drain();
  if (!connection.isDraining) return;
  if (notes.drainSinceMs === 0) notes.drainSinceMs = nowMs;
  if (nowMs - notes.drainSinceMs > limits.drainMs) session.destroy();
  else if (nowMs - notes.drainSinceMs > DRAIN_PING_MS) connection.onPingAck();
}

function watchKeepalive(connection: ServerConnection, notes: Notes, limits: Limits, nowMs: number): void {
  if (limits.keepaliveMs === 0) return;
  const { session } = connection;
  if (connection.lastReadMs >= notes.pingSentMs) notes.pingSentMs = 0;
  if (notes.pingSentMs > 0 && nowMs - notes.pingSentMs > limits.keepaliveTimeoutMs) session.destroy();
  else if (notes.pingSentMs === 0 && nowMs - connection.lastReadMs > limits.keepaliveMs && !session.output.paused) {
    notes.pingSentMs = nowMs;
    writePing(session.out(), false, KEEPALIVE_PING);
  }
}
