import { gunzip, gunzipSync, gzipSync } from 'node:zlib';
import { GrpcError, Status } from './status.js';

/** Below this a message is decompressed at once: even a bomb of this size grows to 64 KiB only (deflate's ratio is at most about 1,030). */
const SYNC_BYTES_MAX = 64;

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
    if (this.active >= this.activeMax) {
      done(new GrpcError(Status.RESOURCE_EXHAUSTED, `More than ${this.activeMax} compressed messages at once; retry later.`));
      return;
    }
    this.active++;
    gunzip(bytes, { maxOutputLength: bytesMax }, (error, message) => {
      this.active--;
      done(error === null ? message : refusal(error, bytesMax));
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
    return refusal(error as NodeJS.ErrnoException, bytesMax);
  }
}

function refusal(error: NodeJS.ErrnoException, bytesMax: number): GrpcError {
  if (error.code === 'ERR_BUFFER_TOO_LARGE')
    return new GrpcError(Status.RESOURCE_EXHAUSTED, `A message is above the limit of ${bytesMax} bytes once decompressed.`);
  return new GrpcError(Status.INTERNAL, `A compressed message is broken: ${error.message}.`, { cause: error });
}
