import { gunzip, gunzipSync, gzipSync } from 'node:zlib';
import { GrpcError, Status } from './status.js';

/** Deflate makes nothing smaller than by this. */
const RATIO_MAX = 1_032;
/** Up to this a message is decompressed at once: even a bomb of this size grows to 64 KiB only. */
const SYNC_BYTES_MAX = 64;
/** The least that zlib takes is 64. */
const CHUNK_BYTES_MIN = 1_024;

/** Decompression of gzip messages off the event loop, bounded in size and in number. */
export class Inflater {
  private active = 0;

  constructor(private readonly activeMax: number) {}

  /** The callback may come at once. It gets the message or the status that the call ends with. */
  inflate(bytes: Uint8Array, bytesMax: number, done: (result: Buffer | GrpcError) => void): void {
    if (bytes.length <= SYNC_BYTES_MAX) {
      done(inflateNow(bytes, bytesMax));
      return;
    }
    const length = declaredLength(bytes);
    if (length > bytesMax) {
      done(tooLarge(bytesMax));
      return;
    }
    if (this.active >= this.activeMax) {
      done(new GrpcError(Status.RESOURCE_EXHAUSTED, `More than ${this.activeMax} compressed messages at once; retry later.`));
      return;
    }
    this.active++;
    // In one step: by default each 16 KiB is a task of its own, with a callback on the event loop.
    const chunkSize = Math.max(Math.min(length, bytes.length * RATIO_MAX), CHUNK_BYTES_MIN);
    gunzip(bytes, { maxOutputLength: Math.max(length, 1), chunkSize }, (error, message) => {
      this.active--;
      done(error === null ? message : refusal(error, length));
    });
  }
}

/** For the sending side: gzip at its fastest level. */
export function deflateMessage(bytes: Uint8Array): Buffer {
  return gzipSync(bytes, { level: 1 });
}

function inflateNow(bytes: Uint8Array, bytesMax: number): Buffer | GrpcError {
  try {
    return gunzipSync(bytes, { maxOutputLength: bytesMax });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ERR_BUFFER_TOO_LARGE' ? tooLarge(bytesMax) : refusal(error as NodeJS.ErrnoException, bytesMax);
  }
}

/**
 * What the last four bytes of a gzip member say of its content (RFC 1952, ISIZE). A bomb that says so is refused before any work, and one that lies ends
 * at the length that it gave itself. So a message is one member: no gRPC library writes more.
 */
function declaredLength(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(bytes.length - 4, true);
}

function tooLarge(bytesMax: number): GrpcError {
  return new GrpcError(Status.RESOURCE_EXHAUSTED, `A message is above the limit of ${bytesMax} bytes once decompressed.`);
}

/** @param length that it may have at most. */
function refusal(error: NodeJS.ErrnoException, length: number): GrpcError {
  if (error.code === 'ERR_BUFFER_TOO_LARGE')
    return new GrpcError(Status.INTERNAL, `A compressed message is broken: it is longer than the ${length} bytes that it declares.`);
  return new GrpcError(Status.INTERNAL, `A compressed message is broken: ${error.message}.`, { cause: error });
}
