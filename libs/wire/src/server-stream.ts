import type { ProtoWriter } from '@headrace/codec/writer';
import { ReceiveWindow } from './flow-control.js';
import { ErrorCode, writeWindowUpdate } from './frames.js';
import { sendHeaders } from './header-writer.js';
import type { Fields } from './header-writer.js';
import { Inbox } from './inbox.js';
import type { InboxOwner } from './inbox.js';
import { MESSAGE_PREFIX_BYTES, sendEncoded } from './message-frame.js';
import { OrdinaryCall } from './ordinary-call.js';
import type { RequestHead } from './request-head.js';
import { errorTrailers, OK_HEADERS, OK_TRAILERS } from './response-fields.js';
import type { ServerConnection } from './server-connection.js';
import type { Method, ServerContext } from './server-context.js';
import { GrpcError, Status, toGrpcError } from './status.js';
import { StreamSender } from './stream-sender.js';
import type { SenderOwner } from './stream-sender.js';

/** A unary message that came before its END_STREAM is kept in a buffer that stays with the pooled stream up to this size. */
const HELD_BYTES_KEPT = 4096;

/**
 * One call on the server: an HTTP/2 stream with its message framing and its answer. Pooled, because a hot call must not allocate. It goes
 * back to the pool when the stream is closed (`open` false) and the handler has answered (`busy` false), in whichever order.
 */
export class ServerStream implements InboxOwner, SenderOwner {
  id = 0;
  connection!: ServerConnection;
  head!: RequestHead<Method>;
  deadlineMs = Infinity;
  readonly sender = new StreamSender(this);
  readonly receiveWindow: ReceiveWindow;
  /** In the connection's table. */
  open = false;
  /** A handler owes an answer. */
  busy = false;
  /** Nobody waits for the answer any more. */
  gone = false;
  remoteEnded = false;
  receivedBytes = 0;
  /** When the request, or the streamed message, began that is still unfinished; 0 when none is. For the watchdog. */
  partialSinceMs = 0;
  call: OrdinaryCall | null = null;
  private inbox: Inbox | null = null;
  private headersSent = false;
  private localEnded = false;
  /** The end of our side is due behind what is queued, with these trailers. */
  private endPending = false;
  private endTrailers: Fields | null = null;
  private messages = 0;
  private held: Buffer | null = null;
  private heldBytes = 0;

  constructor(
    private readonly context: ServerContext,
    readonly handle: number,
  ) {
    this.receiveWindow = new ReceiveWindow(context.limits.streamWindowBytes);
  }

  get acceptsGzip(): boolean {
    return this.head.acceptsGzip;
  }

  begin(connection: ServerConnection, id: number, head: RequestHead<Method>, nowMs: number): void {
    this.connection = connection;
    this.id = id;
    this.head = head;
    this.deadlineMs = head.timeoutMs === Infinity ? Infinity : nowMs + head.timeoutMs;
    this.sender.open(connection.session, connection.blocked, id);
    this.receiveWindow.reset();
    this.open = true;
    this.busy = this.gone = this.remoteEnded = this.headersSent = this.localEnded = false;
    this.receivedBytes = this.messages = this.heldBytes = 0;
    this.partialSinceMs = nowMs;
    const kind = head.method?.entry.kind;
    if (kind !== 'client-stream' && kind !== 'bidi') return;
    this.partialSinceMs = 0;
    this.startOrdinary().startStreaming();
  }

  /** The payload of a DATA frame, checked against windows and content-length. */
  onData(bytes: Buffer, start: number, end: number, endStream: boolean, frameBytes: number): void {
    if (!this.receiveWindow.receive(frameBytes)) return this.reset(ErrorCode.FLOW_CONTROL_ERROR, 'The stream window was exceeded.');
    this.receivedBytes += end - start;
    const declared = this.head.contentLength;
    if (declared >= 0 && (this.receivedBytes > declared || (endStream && this.receivedBytes < declared)))
      return this.reset(ErrorCode.PROTOCOL_ERROR, 'The content-length does not match.');
    if (endStream) this.remoteEnded = true;
    else this.giveCredit(frameBytes);
    if (this.head.refusal !== undefined) {
      if (endStream) this.onMessagesEnd();
      return;
    }
    // One whole message with the end of the stream: the usual unary request, without an inbox.
    if (
      endStream &&
      this.inbox === null &&
      end - start >= MESSAGE_PREFIX_BYTES &&
      bytes[start] === 0 &&
      bytes.readUInt32BE(start + 1) === end - start - MESSAGE_PREFIX_BYTES &&
      end - start <= this.context.limits.messageBytesMax
    ) {
      this.onMessage(bytes, start + MESSAGE_PREFIX_BYTES, end, true);
      return;
    }
    this.inbox ??= new Inbox(this, this.context.limits, this.context.inflater);
    this.inbox.push(bytes, start, end, endStream);
    this.watchPartial();
  }

  /** The request ended without a DATA frame that says so: END_STREAM on its headers or trailers. */
  onRemoteEnd(): void {
    this.remoteEnded = true;
    if (this.head.contentLength > this.receivedBytes) return this.reset(ErrorCode.PROTOCOL_ERROR, 'The content-length does not match.');
    if (this.inbox === null) this.onMessagesEnd();
    else this.inbox.push(EMPTY, 0, 0, true);
  }

  onMessage(bytes: Uint8Array, start: number, end: number, last: boolean): void {
    if (this.gone || this.localEnded) return;
    if (this.call !== null) {
      this.call.onMessage(bytes, start, end);
      if (last) this.call.onRequestEnd();
      return;
    }
    if (++this.messages > 1) return this.answerError(new GrpcError(Status.UNIMPLEMENTED, 'A unary call takes one message, and more came.'));
    if (last) this.dispatch(bytes, start, end);
    else this.hold(bytes, start, end);
  }

  onMessagesEnd(): void {
    if (this.gone || this.localEnded) return;
    const { refusal } = this.head;
    if (refusal?.kind === 'http') return this.answerPlain(refusal.status, refusal.text);
    if (this.call !== null) this.call.onRequestEnd();
    else if (this.messages === 0) this.answerError(new GrpcError(Status.UNIMPLEMENTED, 'A unary call takes one message, and none came.'));
    else this.dispatch(this.held!, 0, this.heldBytes);
  }

  onInboxError(error: GrpcError): void {
    this.call?.abort(error);
    if (!this.gone && !this.localEnded) this.answerError(error);
  }

  onBuffered(delta: number): boolean {
    return this.connection.buffered(delta);
  }

  /** Returns window credit for received bytes, unless the reader of a stream is behind; then `call` does it later. */
  giveCredit(bytes: number): void {
    if (this.call !== null && !this.call.takesMore(bytes)) return;
    this.credit(bytes);
  }

  credit(bytes: number): void {
    if (!this.open || this.remoteEnded) return;
    const credit = this.receiveWindow.consume(bytes);
    if (credit > 0) writeWindowUpdate(this.connection.session.out(), this.id, credit);
  }

  /** Headers, one message and OK trailers: into the socket's output when windows allow, which is nearly always. */
  answerOk<T>(encode: (value: T, writer: ProtoWriter) => void, value: T): void {
    const { connection, sender } = this;
    this.headersSent = true;
    connection.okHeaders.send(connection.session, this.id, false);
    try {
      sendEncoded(connection.session, sender, encode, value, false, false);
    } catch (error) {
      this.context.onDefect(error);
      this.answerError(toGrpcError(error));
      return;
    }
    this.context.stats.callsAnswered++;
    this.endWith(null);
  }

  answerError(error: GrpcError): void {
    this.context.stats.callsFailed++;
    this.endWith(errorTrailers(error));
  }

  /** Custom headers of an ordinary call; without a call of it the usual ones go with the first message. */
  sendHeaders(fields: Fields): void {
    this.headersSent = true;
    sendHeaders(this.connection.session, this.id, fields, false);
  }

  /** One message of a streaming answer; throws what `encode` throws. */
  sendMessage<T>(encode: (value: T, writer: ProtoWriter) => void, value: T, gzip: boolean): void {
    const { session, okHeaders } = this.connection;
    if (!this.headersSent) okHeaders.send(session, this.id, false);
    this.headersSent = true;
    sendEncoded(session, this.sender, encode, value, false, gzip);
  }

  /** Ends our side when all messages have left; `null` is the usual OK without metadata. */
  endWith(trailers: Fields | null): void {
    if (this.localEnded) return;
    this.endPending = true;
    this.endTrailers = trailers;
    this.localEnded = true;
    if (this.sender.queuedBytes === 0) this.onDrained();
  }

  onDrained(): void {
    if (!this.endPending) {
      this.call?.onDrained();
      return;
    }
    this.endPending = false;
    const trailers = this.endTrailers;
    this.endTrailers = null;
    const { session, okTrailers } = this.connection;
    if (trailers === PLAIN_END) this.sender.end();
    else if (trailers === null && this.headersSent) okTrailers.send(session, this.id, true);
    else sendHeaders(session, this.id, this.headersSent ? trailers! : [...OK_HEADERS, ...(trailers ?? OK_TRAILERS)], true);
    session.earnByCall();
    // The answer stands before the request ended: the peer may stop sending it (RFC 9113 section 8.1).
    if (!this.remoteEnded) this.connection.resetOpen(this, ErrorCode.NO_ERROR);
    this.close();
  }

  /** An answer that is not gRPC, for a request that is not. It comes when the request has ended, as HTTP clients expect; its body is dropped. */
  private answerPlain(status: string, text: string): void {
    const body = Buffer.from(text);
    this.sendHeaders([
      [':status', status],
      ['content-type', 'text/plain'],
      ['content-length', String(body.length)],
    ]);
    this.sender.send(body, 0, body.length);
    this.endWith(PLAIN_END);
  }

  /** The peer broke a rule of this stream: RST_STREAM, and the handler hears of it. */
  reset(code: ErrorCode, why: string): void {
    this.connection.resetOpen(this, code);
    this.abort(new GrpcError(Status.CANCELLED, why));
  }

  /** The stream is over before its answer: reset by either side, or the connection is lost. */
  abort(error: GrpcError): void {
    if (!this.open) return;
    this.gone = true;
    this.context.stats.callsCancelled++;
    this.call?.abort(error);
    this.close();
  }

  /** The handler has answered, or found that nobody waits. */
  settle(): void {
    this.busy = false;
    this.call = null;
    if (!this.open) this.context.releaseStream(this);
  }

  private close(): void {
    if (!this.open) return;
    this.open = false;
    this.connection.forget(this);
    this.sender.close();
    this.endPending = false;
    this.endTrailers = null;
    this.inbox?.reset();
    if (this.held !== null && this.held.length > HELD_BYTES_KEPT) this.held = null;
    if (!this.busy) this.context.releaseStream(this);
  }

  private dispatch(bytes: Uint8Array, start: number, end: number): void {
    this.partialSinceMs = 0;
    const { hot } = this.head.method!;
    if (hot === undefined) {
      this.startOrdinary().startUnary(bytes, start, end);
      return;
    }
    this.busy = true;
    this.context.stats.callsStarted++;
    try {
      hot.onMessage(bytes, start, end, this.handle, this.deadlineMs);
    } catch (error) {
      this.context.onDefect(error);
      if (this.busy) {
        this.answerError(toGrpcError(error));
        this.settle();
      }
    }
    this.context.tick.wake(hot);
  }

  private startOrdinary(): OrdinaryCall {
    this.busy = true;
    this.context.stats.callsStarted++;
    return (this.call = new OrdinaryCall(this, this.head.method!, this.context));
  }

  private hold(bytes: Uint8Array, start: number, end: number): void {
    const size = end - start;
    if (this.held === null || this.held.length < size) this.held = Buffer.allocUnsafeSlow(Math.max(size, 256));
    this.held.set(bytes.subarray(start, end), 0);
    this.heldBytes = size;
  }

  private watchPartial(): void {
    if (this.call !== null) this.partialSinceMs = !this.inbox!.isPartial ? 0 : this.partialSinceMs || this.connection.session.nowMs;
  }
}

const EMPTY = Buffer.alloc(0);
const PLAIN_END: Fields = [];
