import { grownWindow } from './flow-control.js';
import { Flag, FrameType, writeFrameHeader } from './frames.js';
import type { Session } from './session.js';

/** What follows the last DATA byte: trailers on a server, an END_STREAM flag on a client. */
export interface SenderOwner {
  /** Everything queued has left; called each time the queue runs empty. */
  onDrained(): void;
}

/** Streams of one connection that wait for its window; each gets a frame in turn when it opens. */
export class BlockedSenders {
  private waiting: StreamSender[] = [];

  add(sender: StreamSender): void {
    if (!this.waiting.includes(sender)) this.waiting.push(sender);
  }

  remove(sender: StreamSender): void {
    const at = this.waiting.indexOf(sender);
    if (at >= 0) this.waiting.splice(at, 1);
  }

  /** Round robin, one frame at a time, until the window or the queues are empty. */
  onWindow(session: Session): void {
    while (session.sendWindow > 0 && this.waiting.length > 0) {
      const sender = this.waiting.shift()!;
      if (sender.sendOneFrame() && sender.isConnectionBlocked) this.waiting.push(sender);
    }
  }
}

/**
 * The DATA of one stream, within both windows and the peer's frame size. What does not fit waits in a queue of copies; the owner bounds it
 * by waiting for `queuedBytes` to fall before it sends more.
 */
export class StreamSender {
  streamId = 0;
  sendWindow = 0;
  queuedBytes = 0;
  private session: Session | null = null;
  private blocked: BlockedSenders | null = null;
  private queue: Buffer[] = [];

  constructor(private readonly owner: SenderOwner) {}

  open(session: Session, blocked: BlockedSenders, streamId: number): void {
    this.session = session;
    this.blocked = blocked;
    this.streamId = streamId;
    this.sendWindow = session.peer.initialWindow;
  }

  /** Forgets the stream; what waits is dropped. */
  close(): void {
    if (this.queuedBytes > 0) {
      this.blocked!.remove(this);
      this.queue = [];
      this.queuedBytes = 0;
    }
    this.session = null;
    this.blocked = null;
  }

  /** Payload that may leave now in one frame. */
  get room(): number {
    return Math.min(this.window, this.session!.peer.frameBytesMax);
  }

  /** Payload that may leave now. */
  get window(): number {
    return this.queuedBytes > 0 ? 0 : Math.min(this.sendWindow, this.session!.sendWindow);
  }

  get isConnectionBlocked(): boolean {
    return this.queuedBytes > 0 && this.sendWindow > 0;
  }

  /** Sends or queues; the bytes are copied before the return. */
  send(bytes: Uint8Array, start: number, end: number): void {
    let pos = start;
    while (pos < end) {
      const size = Math.min(this.room, end - pos);
      if (size <= 0) break;
      this.frame(bytes, pos, pos + size);
      pos += size;
    }
    if (pos === end) return;
    this.queue.push(Buffer.from(bytes.subarray(pos, end)));
    this.queuedBytes += end - pos;
    if (this.sendWindow > 0) this.blocked!.add(this);
  }

  /** Counts bytes that the owner framed itself within `room`. */
  count(size: number): void {
    this.sendWindow -= size;
    this.session!.sendWindow -= size;
  }

  /** Moves the stream window, down too; false when it would exceed 2^31-1. */
  grow(delta: number): boolean {
    const grown = grownWindow(this.sendWindow, delta);
    if (grown === undefined) return false;
    this.sendWindow = grown;
    this.sendWaiting();
    return true;
  }

  private sendWaiting(): void {
    if (this.queuedBytes === 0) return;
    while (this.queuedBytes > 0 && this.sendWindow > 0 && this.session!.sendWindow > 0) if (!this.sendOneFrame()) return;
    if (this.isConnectionBlocked) this.blocked!.add(this);
  }

  /** False when the stream ended by it. */
  sendOneFrame(): boolean {
    const session = this.session;
    const first = this.queue[0];
    if (session === null || first === undefined) return false;
    const size = Math.min(first.length, this.sendWindow, session.sendWindow, session.peer.frameBytesMax);
    if (size <= 0) return true;
    this.frame(first, 0, size);
    this.queuedBytes -= size;
    if (size < first.length) this.queue[0] = first.subarray(size);
    else this.queue.shift();
    if (this.queuedBytes > 0) return true;
    this.owner.onDrained();
    return this.session !== null;
  }

  private frame(bytes: Uint8Array, start: number, end: number): void {
    const session = this.session!;
    const out = session.out();
    writeFrameHeader(out, end - start, FrameType.DATA, 0, this.streamId);
    out.raw(bytes, start, end);
    this.count(end - start);
    session.windowUpdates.earn(10);
  }

  /** An empty DATA frame that ends our side. */
  end(): void {
    writeFrameHeader(this.session!.out(), 0, FrameType.DATA, Flag.END_STREAM, this.streamId);
  }
}
