import { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/** What is read is used up before the next read, so that one buffer serves all connections of the thread. As many bytes as libuv reads at once. */
const buffer = Buffer.allocUnsafeSlow(65_536);

/** Takes `bytes[0, end)`, valid during the call. */
export type ChunkReader = (bytes: Buffer, end: number) => void;

/**
 * Hands what a socket receives to `read`, chunk by chunk. Node makes 64 KiB and three objects for each chunk, or, for a socket that is given `onread` when it is
 * made, reads into a buffer of one's own; sockets that a server accepts cannot be given it, and get it here by the same means. Where those are not
 * as we know them (another Node), and with TLS, chunks come as events.
 */
export function readSocket(socket: Socket, read: ChunkReader): void {
  if (takesBuffer(socket)) {
    socket[BUFFER!] = buffer;
    socket[CALLBACK!] = (size: number): void => read(buffer, size);
    socket._handle.useUserBuffer(buffer);
    // Nothing else makes an accepted socket flow, and its end is an event of the flow.
    socket.resume();
  } else socket.on('data', (chunk: Buffer) => read(chunk, chunk.length));
}

type WithBuffer = Socket & {
  [key: symbol]: Buffer | ((size: number) => void) | null;
  readonly _handle: { useUserBuffer(target: Buffer): void };
};

const [BUFFER, CALLBACK, GENERATOR] = ['kBuffer', 'kBufferCb', 'kBufferGen'].map((name) =>
  Object.getOwnPropertySymbols(new Socket()).find(({ description }) => description === name),
);

function takesBuffer(socket: Socket): socket is WithBuffer {
  if (socket instanceof TLSSocket || !BUFFER || !CALLBACK || !GENERATOR) return false;
  const known = socket as WithBuffer;
  return known[BUFFER] === null && known[CALLBACK] === null && typeof known._handle?.useUserBuffer === 'function';
}
