import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { ProtoWriter } from '@headrace/codec/writer';
import { acquireOutput, chunkOf, releaseOutput } from './output-pool.js';
import { writeNow } from './socket-write.js';
import type { Flushable, Tick } from './tick.js';

/** After GOAWAY the peer gets this long to read it before the socket is cut. */
const LINGER_MS = 1000;

/** Bytes that the socket has not taken yet, and the buffer that they stand in if it is one of the pool. */
interface Waiting {
  readonly bytes: number;
  readonly out: ProtoWriter | undefined;
}

/**
 * The output of one socket: collected over a turn, written once. A peer that does not take its answers stops being read when more than
 * `outputBytesMax` wait for it, and goes on when they are gone.
 */
export class SocketOutput implements Flushable {
  private current: ProtoWriter | null = null;
  private readonly inFlight: Waiting[] = [];
  private ending = false;
  private holdMs = 0;
  private readonly isTls: boolean;
  private onDrained: (() => void)[] = [];
  /** Bytes that the socket has not taken yet, without those of this turn. */
  waitingBytes = 0;
  /** Reading stands still because of unread output. */
  paused = false;

  constructor(
    private readonly socket: Socket,
    private readonly tick: Tick,
    private readonly outputBytesMax: number,
  ) {
    this.isTls = socket instanceof TLSSocket;
    socket.once('close', () => this.endWaiting());
  }

  /** Bytes of this turn so far. */
  get turnBytes(): number {
    return this.current?.pos ?? 0;
  }

  /** Resolves when the socket has taken what waited, or is closed. */
  drained(): Promise<void> {
    if (this.socket.destroyed || this.waitingBytes === 0) return Promise.resolve();
    return new Promise((resolve) => this.onDrained.push(resolve));
  }

  buffer(): ProtoWriter {
    if (this.current !== null) return this.current;
    this.tick.touch(this);
    return (this.current = acquireOutput());
  }

  flush(): void {
    const out = this.current;
    if (out === null) return;
    this.current = null;
    if (this.socket.destroyed || this.socket.writableEnded) {
      releaseOutput(out);
      return;
    }
    if (out.pos > 0) this.write(out);
    else releaseOutput(out);
    if (this.ending) this.endSocket();
    else if (this.waitingBytes > this.outputBytesMax) {
      this.paused = true;
      this.socket.pause();
    }
  }

  /**
   * Writes what is ready, then closes; what still comes in is dropped, so that the peer reads our last words before a reset.
   * @param holdMs what still comes in stays unread, and the socket open, for so long: a flood fills the peer's own buffers then
   */
  end(holdMs = 0): void {
    this.ending = true;
    this.holdMs = holdMs;
    this.buffer();
  }

  private write(out: ProtoWriter): void {
    const bytes = out.pos;
    const chunk = chunkOf(out);
    // It will wait: a few bytes need not keep a whole buffer until a slow peer has taken them.
    if (this.waitingBytes > 0 && bytes < out.bytes.length >> 2) {
      const copy = Buffer.from(chunk);
      releaseOutput(out);
      if (!this.hand(copy)) this.wait({ bytes, out: undefined });
    } else if (this.hand(chunk)) releaseOutput(out);
    else this.wait({ bytes, out });
  }

  /** @returns whether the bytes are the socket's already. */
  private hand(chunk: Buffer): boolean {
    if (!this.isTls) return writeNow(this.socket, chunk, this.onTaken);
    this.socket.write(chunk, this.onTaken);
    return false;
  }

  private wait(waiting: Waiting): void {
    this.inFlight.push(waiting);
    this.waitingBytes += waiting.bytes;
  }

  private readonly onTaken = (): void => {
    const { bytes, out } = this.inFlight.shift()!;
    this.waitingBytes -= bytes;
    if (out) releaseOutput(out);
    if (this.waitingBytes > 0) return;
    this.endWaiting();
    if (!this.paused || this.holdMs > 0) return;
    this.paused = false;
    this.socket.resume();
  };

  private endWaiting(): void {
    const resolves = this.onDrained;
    if (resolves.length === 0) return;
    this.onDrained = [];
    for (const resolve of resolves) resolve();
  }

  private endSocket(): void {
    if (this.holdMs > 0) this.socket.pause();
    else {
      this.socket.end();
      this.socket.resume();
    }
    setTimeout(() => this.socket.destroy(), this.holdMs || LINGER_MS).unref();
  }
}
