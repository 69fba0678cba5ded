import type { Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';

/** Called when the socket has taken the bytes, or never will; in the order of the writes. */
export type OnTaken = () => void;

/**
 * Writes to a socket that nobody else writes to. The way through `socket.write` costs more than the answer of a prediction: a request object, a stream's books and its
 * callback, for bytes that the kernel nearly always takes at once. So they go to the handle that the socket itself would use, and only what the kernel does not take gets a request
 * of its own. Where that handle is not as we know it (another Node), behind bytes that the socket itself holds, and before it is connected, the socket writes.
 * @returns whether the kernel has all of it; otherwise `bytes` must stay as they are until `onTaken`. An error ends the socket.
 */
export function writeNow(socket: Socket, bytes: Buffer, onTaken: OnTaken): boolean {
  if (Request === null || socket.connecting || socket.writableLength > 0 || !hasHandle(socket))
    return (socket.write(bytes, onTaken), false);
  if (Request === undefined) return (learnRequest(socket, () => socket.write(bytes, onTaken)), false);
  const handle = socket._handle;
  const request = (unused ??= new Request());
  const code = handle.writeBuffer(request, bytes);
  // Libuv has it from the moment that it has an identity until it is complete, also where the rest could be written at once.
  if (code === 0 && request.getAsyncId() < 0) return true;
  unused = undefined;
  if (code !== 0) {
    socket.destroy(errorOf(code));
    return true;
  }
  request.handle = handle;
  request.buffer = bytes;
  request.oncomplete = (status: number): void => {
    if (status < 0 && !socket.destroyed) socket.destroy(errorOf(status));
    onTaken();
  };
  return false;
}

interface WriteRequest {
  /** -1: no bytes had to wait for it. */
  getAsyncId(): number;
  handle?: Handle;
  /** Keeps the memory alive. */
  buffer?: Buffer;
  oncomplete?: (status: number) => void;
}

interface Handle {
  /** @returns 0, or the negative number of a system error */
  writeBuffer(request: WriteRequest, bytes: Buffer): number;
}

type WithHandle = Socket & { readonly _handle: Handle };

/** The class of Node's requests, known from the first write; null where it could not be seen. */
let Request: (new () => WriteRequest) | null | undefined;
/** What the kernel takes at once leaves no trace in a request, so that one serves all of these writes. */
let unused: WriteRequest | undefined;

function hasHandle(socket: Socket): socket is WithHandle {
  return typeof (socket as Partial<WithHandle>)._handle?.writeBuffer === 'function';
}

/** Looks over the socket's shoulder at one write. */
function learnRequest(socket: WithHandle, write: () => void): void {
  const handle = socket._handle;
  Request = null;
  handle.writeBuffer = (request, bytes) => {
    if (isKnown(request)) Request = request.constructor as new () => WriteRequest;
    return (Object.getPrototypeOf(handle) as Handle).writeBuffer.call(handle, request, bytes);
  };
  try {
    write();
  } finally {
    delete (handle as Partial<Handle>).writeBuffer;
  }
}

/** Asked before the write, of which it knows nothing yet. */
function isKnown(request: Partial<WriteRequest>): boolean {
  return request.constructor?.name === 'WriteWrap' && request.getAsyncId?.() === -1;
}

function errorOf(code: number): NodeJS.ErrnoException {
  const name = getSystemErrorName(code);
  return Object.assign(new Error(`write ${name}`), { code: name, errno: code, syscall: 'write' });
}
