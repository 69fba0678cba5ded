import type { Inflater } from './inflate.js';
import type { Limits } from './limits.js';
import { MESSAGE_PREFIX_BYTES } from './message-frame.js';
import { GrpcError, Status } from './status.js';

/** A message buffer starts at this size and doubles as bytes really come: a declared length alone allocates nothing. */
const BUFFER_START_BYTES = 1024;

export interface InboxOwner {
  /** One message, valid during the call. `last` says that it also ends the stream; then `onMessagesEnd` does not come. */
  onMessage(bytes: Uint8Array, start: number, end: number, last: boolean): void;
  onMessagesEnd(): void;
  onInboxError(error: GrpcError): void;
  /** Memory held for messages that are not delivered yet changes; false refuses a growth that would exceed a limit. */
  onBuffered(delta: number): boolean;
  /** What the headers said about compression. */
  readonly acceptsGzip: boolean;
}

interface Waiting {
  readonly compressed: boolean;
  readonly bytes: Buffer;
}

/**
 * Messages of one direction of one stream, from DATA payloads. A message that lies whole in a frame is delivered in place; others are
 * collected first. Compressed ones go through the inflater, and those behind them wait, so that the order stands.
 */
export class Inbox {
  private readonly prefix = Buffer.alloc(MESSAGE_PREFIX_BYTES);
  private prefixFilled = 0;
  private length = 0;
  private buffer: Buffer | null = null;
  private filled = 0;
  private waiting: Waiting[] = [];
  private inflating = false;
  private ended = false;
  /** Rises with each reset, so that an inflation of an earlier stream does not reach the next user of a pooled inbox. */
  private generation = 0;

  constructor(
    private readonly owner: InboxOwner,
    private readonly limits: Limits,
    private readonly inflater: Inflater,
  ) {}

  reset(): void {
    this.prefixFilled = 0;
    if (this.buffer !== null) this.dropBuffer();
    for (const { bytes } of this.waiting) this.owner.onBuffered(-bytes.length);
    this.waiting = [];
    this.inflating = false;
    this.ended = false;
    this.generation++;
  }

  get isPartial(): boolean {
    return this.prefixFilled > 0;
  }

  /** Calls of the owner may reset the inbox; then the rest of the payload is dropped. */
  push(bytes: Uint8Array, start: number, end: number, endStream: boolean): void {
    const generation = this.generation;
    let pos = start;
    while (pos < end) {
      if (this.prefixFilled < MESSAGE_PREFIX_BYTES) {
        this.prefix[this.prefixFilled++] = bytes[pos++]!;
        if (this.prefixFilled < MESSAGE_PREFIX_BYTES) continue;
        if (!this.beginMessage()) return;
      }
      // An empty message is whole with its prefix, so this runs also when no byte is left.
      const missing = this.length - this.filled;
      if (this.buffer === null && missing <= end - pos) {
        const from = pos;
        pos += missing;
        this.prefixFilled = 0;
        this.accept(bytes, from, pos, endStream && pos === end);
      } else if (pos < end) pos = this.collect(bytes, pos, end, endStream);
      if (generation !== this.generation) return;
    }
    if (endStream && !this.ended) this.end();
  }

  private end(): void {
    this.ended = true;
    if (this.prefixFilled > 0) this.owner.onInboxError(new GrpcError(Status.INTERNAL, 'The stream ended inside a message.'));
    else if (!this.inflating && this.waiting.length === 0) this.owner.onMessagesEnd();
  }

  private beginMessage(): boolean {
    const flag = this.prefix[0]!;
    this.length = this.prefix.readUInt32BE(1);
    this.filled = 0;
    if (flag > 1) return this.refuse(Status.INTERNAL, `The compressed flag of a message is ${flag}.`);
    if (flag === 1 && !this.owner.acceptsGzip) return this.refuse(Status.INTERNAL, 'A compressed message without grpc-encoding.');
    if (this.length > this.limits.messageBytesMax)
      return this.refuse(
        Status.RESOURCE_EXHAUSTED,
        `A message of ${this.length} bytes is above the limit of ${this.limits.messageBytesMax}.`,
      );
    return true;
  }

  private collect(bytes: Uint8Array, start: number, end: number, endStream: boolean): number {
    const size = Math.min(this.length - this.filled, end - start);
    if (!this.ensureRoom(this.filled + size)) return end;
    this.buffer!.set(bytes.subarray(start, start + size), this.filled);
    this.filled += size;
    if (this.filled === this.length) {
      const message = this.buffer!;
      this.buffer = null;
      this.prefixFilled = 0;
      this.owner.onBuffered(-message.length);
      this.accept(message, 0, this.length, endStream && start + size === end);
    }
    return start + size;
  }

  private ensureRoom(size: number): boolean {
    const capacity = this.buffer?.length ?? 0;
    if (capacity >= size) return true;
    const wanted = Math.min(this.length, Math.max(size, capacity * 2, BUFFER_START_BYTES));
    if (!this.owner.onBuffered(wanted - capacity)) return this.refuse(Status.RESOURCE_EXHAUSTED, TOO_MUCH);
    const larger = Buffer.allocUnsafeSlow(wanted);
    this.buffer?.copy(larger, 0, 0, this.filled);
    this.buffer = larger;
    return true;
  }

  private dropBuffer(): void {
    this.owner.onBuffered(-this.buffer!.length);
    this.buffer = null;
  }

  private accept(bytes: Uint8Array, start: number, end: number, last: boolean): void {
    const compressed = this.prefix[0] === 1;
    if (!compressed && !this.inflating) {
      if (last) this.ended = true;
      this.owner.onMessage(bytes, start, end, last);
      return;
    }
    if (!this.owner.onBuffered(end - start)) {
      this.refuse(Status.RESOURCE_EXHAUSTED, TOO_MUCH);
      return;
    }
    this.waiting.push({ compressed, bytes: Buffer.from(bytes.subarray(start, end)) });
    if (!this.inflating) this.next();
  }

  /** Delivers what waits, in order, up to the next compressed message. */
  private next(): void {
    const generation = this.generation;
    for (let waiting = this.waiting.shift(); waiting !== undefined; waiting = this.waiting.shift()) {
      this.owner.onBuffered(-waiting.bytes.length);
      if (waiting.compressed) {
        this.inflating = true;
        this.inflater.inflate(waiting.bytes, this.limits.messageBytesMax, (result) => {
          if (generation === this.generation) this.onInflated(result);
        });
        return;
      }
      this.owner.onMessage(waiting.bytes, 0, waiting.bytes.length, false);
      if (generation !== this.generation) return;
    }
    if (this.ended) this.owner.onMessagesEnd();
  }

  private onInflated(result: Buffer | GrpcError): void {
    this.inflating = false;
    if (result instanceof GrpcError) {
      this.owner.onInboxError(result);
      return;
    }
    const generation = this.generation;
    this.owner.onMessage(result, 0, result.length, false);
    if (generation === this.generation) this.next();
  }

  private refuse(code: typeof Status.INTERNAL | typeof Status.RESOURCE_EXHAUSTED, message: string): false {
    this.owner.onInboxError(new GrpcError(code, message));
    return false;
  }
}

const TOO_MUCH = 'Too many unfinished or unread messages on this connection or process; retry later.';
