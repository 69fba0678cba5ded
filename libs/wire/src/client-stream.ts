import type { ProtoWriter } from '@headrace/codec/writer';
import type { ClientConnection } from './client-connection.js';
import { ReceiveWindow } from './flow-control.js';
import { ErrorCode, writeWindowUpdate } from './frames.js';
import { Inbox } from './inbox.js';
import type { InboxOwner } from './inbox.js';
import type { Inflater } from './inflate.js';
import type { Limits } from './limits.js';
import { MESSAGE_PREFIX_BYTES, sendEncoded } from './message-frame.js';
import { metadataOfHead } from './response-head.js';
import type { ResponseHead } from './response-head.js';
import type { Metadata } from './metadata.js';
import { GrpcError, Status } from './status.js';
import { StreamSender } from './stream-sender.js';
import type { SenderOwner } from './stream-sender.js';

/** Who waits for the answers of a call. */
export interface ClientReceiver {
  onHeaders(head: ResponseHead): void;
  /** Valid during the call. */
  onMessage(bytes: Uint8Array, start: number, end: number): void;
  /** Exactly once; without an error the call ended OK. `unprocessed`: the server has not seen it, so that trying again is safe. */
  onEnd(error: GrpcError | undefined, trailers: Metadata | undefined, unprocessed: boolean): void;
  /** Everything that was queued has left. */
  onDrained(): void;
  /** May the server send as much again now? If not, the receiver calls `credit` later. */
  takesMore(bytes: number): boolean;
}

/** One call on the client: an HTTP/2 stream with its message framing. */
export class ClientStream implements InboxOwner, SenderOwner {
  id = 0;
  readonly sender = new StreamSender(this);
  acceptsGzip = false;
  ended = false;
  private inbox: Inbox | null = null;
  private readonly receiveWindow: ReceiveWindow;
  private headersSeen = false;
  private httpError: GrpcError | undefined;
  private localEnded = false;
  private endPending = false;
  /** The status came while compressed messages before it are still being inflated. */
  private finalHead: ResponseHead | null = null;

  constructor(
    private readonly connection: ClientConnection,
    private readonly receiver: ClientReceiver,
    private readonly limits: Limits,
    private readonly inflater: Inflater,
  ) {
    this.receiveWindow = new ReceiveWindow(limits.streamWindowBytes);
  }

  /** Sends one message, and with `last` the end of the request. Throws what `encode` throws. */
  send<T>(encode: (value: T, writer: ProtoWriter) => void, value: T, last: boolean, gzip: boolean): void {
    if (this.ended) return;
    const carriedEnd = sendEncoded(this.connection.session, this.sender, encode, value, last, gzip);
    if (!last) return;
    if (carriedEnd) this.localEnded = true;
    else this.endRequests();
  }

  /** No more messages. */
  endRequests(): void {
    if (this.ended || this.localEnded) return;
    this.localEnded = true;
    if (this.sender.queuedBytes === 0) this.sender.end();
    else this.endPending = true;
  }

  onDrained(): void {
    if (this.endPending) {
      this.endPending = false;
      this.sender.end();
    } else this.receiver.onDrained();
  }

  /** A header block of the server. */
  onHead(head: ResponseHead, endStream: boolean): void {
    if (head.fault !== undefined)
      return this.cancel(ErrorCode.PROTOCOL_ERROR, new GrpcError(Status.INTERNAL, `The server broke HTTP/2: ${head.fault}.`));
    if (head.informational && !endStream) return;
    if (!this.headersSeen && !endStream) {
      this.headersSeen = true;
      this.acceptsGzip = head.gzip;
      this.httpError = head.httpError;
      this.receiver.onHeaders(head);
      return;
    }
    if (!endStream)
      return this.cancel(
        ErrorCode.PROTOCOL_ERROR,
        new GrpcError(Status.INTERNAL, 'The server sent a second header block that does not end the call.'),
      );
    this.finalHead = head;
    if (this.inbox === null) this.onMessagesEnd();
    else this.inbox.push(EMPTY, 0, 0, true);
  }

  onData(bytes: Buffer, start: number, end: number, endStream: boolean, frameBytes: number): void {
    if (!this.receiveWindow.receive(frameBytes))
      return this.cancel(ErrorCode.FLOW_CONTROL_ERROR, new GrpcError(Status.INTERNAL, 'The server exceeded the stream window.'));
    if (!endStream && this.receiver.takesMore(frameBytes)) this.credit(frameBytes);
    if (this.httpError !== undefined) {
      if (endStream) this.finish(this.httpError, undefined);
      return;
    }
    if (!this.headersSeen)
      return this.cancel(ErrorCode.PROTOCOL_ERROR, new GrpcError(Status.INTERNAL, 'The server sent DATA before headers.'));
    // One whole message in the frame: the usual answer, without an inbox.
    if (
      this.inbox === null &&
      end - start >= MESSAGE_PREFIX_BYTES &&
      bytes[start] === 0 &&
      bytes.readUInt32BE(start + 1) === end - start - MESSAGE_PREFIX_BYTES &&
      end - start <= this.limits.messageBytesMax
    ) {
      this.onMessage(bytes, start + MESSAGE_PREFIX_BYTES, end);
      if (endStream) this.onMessagesEnd();
      return;
    }
    this.inbox ??= new Inbox(this, this.limits, this.inflater);
    this.inbox.push(bytes, start, end, endStream);
  }

  onMessage(bytes: Uint8Array, start: number, end: number, last = false): void {
    if (this.ended) return;
    try {
      this.receiver.onMessage(bytes, start, end);
    } catch (error) {
      this.cancel(
        ErrorCode.CANCEL,
        new GrpcError(Status.INTERNAL, `The answer cannot be read: ${(error as Error).message}`, { cause: error }),
      );
    }
    if (last) this.onMessagesEnd();
  }

  onMessagesEnd(): void {
    const head = this.finalHead;
    if (head === null)
      return this.finish(this.httpError ?? new GrpcError(Status.INTERNAL, 'The server ended the stream without a status.'), undefined);
    if (head.status === null) this.finish(undefined, head);
    else
      this.finish(
        head.status ?? head.httpError ?? this.httpError ?? new GrpcError(Status.UNKNOWN, 'The server sent no grpc-status.'),
        undefined,
      );
  }

  onInboxError(error: GrpcError): void {
    this.cancel(ErrorCode.CANCEL, error);
  }

  onBuffered(delta: number): boolean {
    return this.connection.buffered(delta);
  }

  credit(bytes: number): void {
    if (this.ended) return;
    const credit = this.receiveWindow.consume(bytes);
    if (credit > 0) writeWindowUpdate(this.connection.session.out(), this.id, credit);
  }

  /** The caller wants no more, or the server broke a rule: RST_STREAM. */
  cancel(code: ErrorCode, error: GrpcError): void {
    if (this.ended) return;
    if (!this.connection.session.closed) this.connection.session.resetStream(this.id, code);
    this.localEnded = true;
    this.finish(error, undefined);
  }

  /** The stream ended without trailers: reset by the server, or the connection is lost. */
  lost(error: GrpcError, unprocessed: boolean): void {
    this.localEnded = true;
    this.finish(error, undefined, unprocessed && !this.headersSeen);
  }

  private finish(error: GrpcError | undefined, trailers: ResponseHead | undefined, unprocessed = false): void {
    if (this.ended) return;
    this.ended = true;
    // The server answered before it had the whole request: stop sending it.
    if (!this.localEnded && !this.connection.session.closed) this.connection.session.resetStream(this.id, ErrorCode.CANCEL);
    this.inbox?.reset();
    this.sender.close();
    this.connection.forget(this);
    this.receiver.onEnd(error, trailers === undefined ? undefined : metadataOfHead(trailers), unprocessed);
  }
}

const EMPTY = Buffer.alloc(0);
