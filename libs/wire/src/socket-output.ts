import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { ProtoWriter } from '@headrace/codec/writer';
import { acquireOutput, releaseOutput } from './output-pool.js';
import type { Flushable, Tick } from './tick.js';

/** After GOAWAY the peer gets this long to read it before the socket is cut. */
const LINGER_MS = 1000;

/**
 * The output of one socket: collected over a turn, written once. A peer that does not take its answers stops being read when more than
 * `outputBytesMax` wait for it, and goes on when they are gone.
 */
export class SocketOutput implements Flushable {
  private current: ProtoWriter | null = null;
  private readonly inFlight: ProtoWriter[] = [];
  private ending = false;
  private holdMs = 0;
  private readonly isTls: boolean;
  /** Reading stands still because of unread output. */
  paused = false;

  constructor(
    private readonly socket: Socket,
    private readonly tick: Tick,
    private readonly outputBytesMax: number,
  ) {
    this.isTls = socket instanceof TLSSocket;
    socket.on('drain', () => this.onDrain());
  }

  /** Bytes that the socket has not taken yet, without those of this turn. */
  get waitingBytes(): number {
    return this.socket.writableLength;
  }

  /** Bytes of this turn so far. */
  get turnBytes(): number {
    return this.current?.pos ?? 0;
  }

  /** Resolves when the socket has taken what waited, or is closed. */
  drained(): Promise<void> {
    if (this.socket.destroyed || this.socket.writableLength === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.socket.off('drain', done);
        this.socket.off('close', done);
        resolve();
      };
      this.socket.on('drain', done);
      this.socket.on('close', done);
    });
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
    else if (this.socket.writableLength > this.outputBytesMax) {
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
    const chunk = out.bytes.subarray(0, out.pos);
    if (this.isTls) {
      this.inFlight.push(out);
      this.socket.write(chunk, this.onWritten);
      return;
    }
    const isDrainDue = !this.socket.write(chunk);
    // The kernel took all of it: the buffer is free at once, for the next connection of this turn. Otherwise it belongs to the socket until
    // it drains, or for good when it will not tell.
    if (this.socket.writableLength === 0) releaseOutput(out);
    else if (isDrainDue) this.inFlight.push(out);
  }

  private readonly onWritten = (): void => {
    releaseOutput(this.inFlight.shift()!);
  };

  private onDrain(): void {
    if (!this.isTls) while (this.inFlight.length > 0) releaseOutput(this.inFlight.pop()!);
    if (!this.paused || this.holdMs > 0) return;
    this.paused = false;
    this.socket.resume();
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
