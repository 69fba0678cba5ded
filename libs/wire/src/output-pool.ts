import { ProtoWriter } from '@headrace/codec/writer';

/** Size of a fresh output buffer: the answers of one turn on one connection usually fit. */
const BUFFER_BYTES = 16_384;
/** Buffers that grew beyond this are left to the garbage collector. */
const KEEP_BYTES_MAX = 262_144;
/** Idle buffers that are kept: 4 MiB of fresh ones. */
const KEEP_COUNT_MAX = 256;

const idle: ProtoWriter[] = [];

/** A buffer for the output of one connection and one turn; idle connections hold none. */
export function acquireOutput(): ProtoWriter {
  return idle.pop() ?? new ProtoWriter(BUFFER_BYTES);
}

/** Only once the socket has taken the bytes: the next user overwrites them. */
export function releaseOutput(out: ProtoWriter): void {
  if (idle.length >= KEEP_COUNT_MAX || out.bytes.length > KEEP_BYTES_MAX) return;
  out.reset();
  idle.push(out);
}
