import { ProtoWriter } from '@headrace/codec/writer';

/** Size of a fresh output buffer: the answers of one turn on one connection usually fit. */
const BUFFER_BYTES = 16_384;
/** Buffers that grew beyond this are left to the garbage collector. */
const KEEP_BYTES_MAX = 4_194_304;
/** Idle buffers that are kept, together. Making a large one anew for each turn is dearer than the answers that it carries. */
const KEEP_TOTAL_BYTES_MAX = 33_554_432;
const KEEP_COUNT_MAX = 256;

const idle: ProtoWriter[] = [];
let idleBytes = 0;

/** A buffer for the output of one connection and one turn; idle connections hold none. */
export function acquireOutput(): ProtoWriter {
  const out = idle.pop();
  if (out === undefined) return new ProtoWriter(BUFFER_BYTES);
  idleBytes -= out.bytes.length;
  return out;
}

/** Only once the socket has taken the bytes: the next user overwrites them. */
export function releaseOutput(out: ProtoWriter): void {
  const { length } = out.bytes;
  if (idle.length >= KEEP_COUNT_MAX || length > KEEP_BYTES_MAX || idleBytes + length > KEEP_TOTAL_BYTES_MAX) return;
  out.reset();
  idle.push(out);
  idleBytes += length;
}

let last: Buffer | undefined;

/** What was written. Many connections are sent answers of one length by one buffer after the other: the view of the one before serves again. */
export function chunkOf({ bytes, pos }: ProtoWriter): Buffer {
  return last?.buffer === bytes.buffer && last.length === pos ? last : (last = bytes.subarray(0, pos));
}
