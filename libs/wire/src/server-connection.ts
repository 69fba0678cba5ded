import type { Socket } from 'node:net';
import { ConnectionError, ErrorCode, PREFACE, Setting, STREAM_ID_MAX, writeGoaway, writePing, writeReset } from './frames.js';
import { faultOfTrailers } from './header-rules.js';
import { HeaderBlockCache } from './header-block-cache.js';
import { HeaderTemplate } from './header-writer.js';
import { HeaderFields } from './hpack-decoder.js';
import { Metadata } from './metadata.js';
import { readRequestHead } from './request-head.js';
import type { RequestHead } from './request-head.js';
import { RecentIds } from './recent-ids.js';
import { OK_HEADERS, OK_TRAILERS } from './response-fields.js';
import type { Method, ServerContext } from './server-context.js';
import type { ServerStream } from './server-stream.js';
import { Session } from './session.js';
import type { SessionRole } from './session.js';
import { readSocket } from './socket-input.js';
import { GrpcError, Status } from './status.js';
import { StreamTable } from './stream-table.js';
import { BlockedSenders } from './stream-sender.js';

/** The server's end of a connection: requests become calls, in the order in which their header blocks end. */
export class ServerConnection implements SessionRole {
  readonly session: Session;
  readonly streams = new StreamTable<ServerStream>();
  readonly blocked = new BlockedSenders();
  readonly okHeaders = new HeaderTemplate(OK_HEADERS);
  readonly okTrailers = new HeaderTemplate(OK_TRAILERS);
  readonly peer: string;
  private readonly address: string;
  lastPeerStreamId = 0;
  lastReadMs = Date.now();
  idleSinceMs = Date.now();
  prefaceDone = false;
  private prefaceSeen = 0;
  private draining: 'no' | 'announced' | 'final' = 'no';
  private bufferedBytes = 0;
  private readonly heads = new HeaderBlockCache<RequestHead<Method>>();
  private readonly fields: HeaderFields;
  private readonly recentlyReset = new RecentIds();

  constructor(
    socket: Socket,
    private readonly context: ServerContext,
    private readonly onGone: (connection: ServerConnection) => void,
  ) {
    this.address = socket.remoteAddress ?? 'unknown';
    this.peer = `${this.address}:${socket.remotePort ?? 0}`;
    this.fields = new HeaderFields(context.limits.headerListBytesMax);
    this.session = new Session(socket, context.limits, context.tick, this, context.onDefect);
    const { streamsMax, streamWindowBytes, headerListBytesMax } = context.limits;
    this.session.open([
      [Setting.MAX_CONCURRENT_STREAMS, streamsMax],
      [Setting.INITIAL_WINDOW_SIZE, streamWindowBytes],
      [Setting.MAX_HEADER_LIST_SIZE, headerListBytesMax],
    ]);
    readSocket(socket, (bytes, end) => this.read(bytes, end));
    const waitMs = context.floods.waitMs(this.address, this.lastReadMs);
    if (waitMs > 0) this.hold(socket, waitMs);
  }

  /** A chunk, `bytes[0, end)`. */
  read(bytes: Buffer, end: number): void {
    const { session } = this;
    let start = 0;
    if (!this.prefaceDone) {
      const size = Math.min(end, PREFACE.length - this.prefaceSeen);
      if (PREFACE.compare(bytes, 0, size, this.prefaceSeen, this.prefaceSeen + size) !== 0) {
        session.fail(new ConnectionError(ErrorCode.PROTOCOL_ERROR, 'not HTTP/2: the connection preface is wrong'));
        return;
      }
      this.prefaceSeen += size;
      if (this.prefaceSeen < PREFACE.length) return;
      this.prefaceDone = true;
      if (size === end) return;
      start = size;
    }
    session.read(bytes, start, end);
    this.lastReadMs = session.nowMs;
  }

  onHeaders(streamId: number, bytes: Buffer, start: number, end: number, endStream: boolean): void {
    const open = this.streams.get(streamId);
    if (open !== undefined) return this.onTrailers(open, bytes, start, end, endStream);
    if ((streamId & 1) === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, 'a client opened an even stream');
    if (streamId <= this.lastPeerStreamId) return this.onLateHeaders(streamId, bytes, start, end);
    const head = this.heads.find(bytes, start, end, this.session.decoder.version) ?? this.readHead(bytes, start, end);
    if (this.draining === 'final') return this.refuse(streamId);
    this.lastPeerStreamId = streamId;
    if (this.streams.count >= this.context.limits.streamsMax) return this.refuse(streamId);
    const stream = this.context.acquireStream();
    stream.id = streamId;
    this.streams.add(stream);
    stream.begin(this, streamId, head, this.session.nowMs);
    if (head.refusal !== undefined) this.answerRefusal(stream, head.refusal, endStream);
    else if (endStream) stream.onRemoteEnd();
  }

  onData(streamId: number, bytes: Buffer, start: number, end: number, endStream: boolean, frameBytes: number): void {
    const stream = this.streams.get(streamId);
    if (stream !== undefined && !stream.remoteEnded) stream.onData(bytes, start, end, endStream, frameBytes);
    else if (stream !== undefined) stream.reset(ErrorCode.STREAM_CLOSED, 'DATA behind the end of the request.');
    else if (!this.recentlyReset.has(streamId)) {
      this.session.control.spend(this.session.nowMs);
      this.session.resetStream(streamId, ErrorCode.STREAM_CLOSED);
    }
  }

  onReset(streamId: number, code: number): void {
    this.streams
      .get(streamId)
      ?.abort(
        new GrpcError(
          Status.CANCELLED,
          code === ErrorCode.CANCEL ? 'The caller cancelled.' : `The caller reset the stream with code ${code}.`,
        ),
      );
  }

  onStreamWindow(streamId: number, increment: number): void {
    const stream = this.streams.get(streamId);
    if (stream === undefined) return;
    if (increment === 0) return stream.reset(ErrorCode.PROTOCOL_ERROR, 'WINDOW_UPDATE of 0.');
    if (!stream.sender.grow(increment)) stream.reset(ErrorCode.FLOW_CONTROL_ERROR, 'The stream window grew above 2^31-1.');
  }

  onInitialWindow(delta: number): void {
    for (const stream of this.streams.all()) {
      if (!stream.sender.grow(delta))
        throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'INITIAL_WINDOW_SIZE brings a stream window above 2^31-1');
    }
  }

  onConnectionWindow(): void {
    this.blocked.onWindow(this.session);
  }

  onSettings(): void {
    // Nothing on a server depends on a setting at once; senders read them as they go.
  }

  onGoaway(): void {
    // A client that goes away finishes its calls; it opens no more.
  }

  /** The answer to the PING of `drain`: everything that the client sent before it knew has arrived. */
  onPingAck(): void {
    if (this.draining === 'announced') this.finishAnnouncement();
  }

  isIdle(streamId: number): boolean {
    return streamId > this.lastPeerStreamId || (streamId & 1) === 0;
  }

  onClosed(cause: ConnectionError | undefined): void {
    if (cause !== undefined) this.context.stats.connectionsFailed++;
    if (cause?.isFlood) this.context.floods.add(this.address, Date.now());
    const error = new GrpcError(
      Status.CANCELLED,
      cause === undefined ? 'The connection is lost.' : `The connection ended: ${cause.message}.`,
    );
    for (const stream of this.streams.all()) stream.abort(error);
    this.onGone(this);
  }

  /**
   * Graceful end in two steps (RFC 9113 section 6.8): first a GOAWAY that refuses nothing, so that requests in flight are not lost, then,
   * when a PING has come back, the one with the last stream. Open calls go on; the connection closes behind the last.
   */
  drain(): void {
    if (this.draining !== 'no' || this.session.closed) return;
    this.draining = 'announced';
    writeGoaway(this.session.out(), STREAM_ID_MAX, ErrorCode.NO_ERROR, 'drain');
    writePing(this.session.out(), false, DRAIN_PING);
  }

  get isDraining(): boolean {
    return this.draining !== 'no';
  }

  /** The second step; the watch calls it when the PING stays unanswered. */
  finishAnnouncement(): void {
    this.draining = 'final';
    writeGoaway(this.session.out(), this.lastPeerStreamId, ErrorCode.NO_ERROR, 'drain');
    this.closeWhenDone();
  }

  /** Forgets what header blocks were allowed to do, so that each is authorized anew. */
  reauthorize(): void {
    this.heads.clear();
  }

  /** The stream has left both sides' view. */
  forget(stream: ServerStream): void {
    this.streams.remove(stream.id);
    if (this.streams.count > 0) return;
    this.idleSinceMs = this.session.nowMs;
    this.closeWhenDone();
  }

  /** Resets a stream whose request may still be on its way; what comes of it is ignored. */
  resetOpen(stream: ServerStream, code: ErrorCode): void {
    this.recentlyReset.add(stream.id);
    if (!this.session.closed) writeReset(this.session.out(), stream.id, code);
  }

  /** Counts memory for messages in progress; false when it would exceed a limit. */
  buffered(delta: number): boolean {
    const { limits, stats } = this.context;
    if (
      delta > 0 &&
      (this.bufferedBytes + delta > limits.connectionBufferBytesMax || stats.bufferedBytes + delta > limits.serverBufferBytesMax)
    )
      return false;
    this.bufferedBytes += delta;
    stats.bufferedBytes += delta;
    return true;
  }

  /** Leaves what comes unread for a while. */
  private hold(socket: Socket, waitMs: number): void {
    this.context.stats.connectionsHeld++;
    // A socket that was resumed in this turn begins to read behind it.
    process.nextTick(() => socket.pause());
    setTimeout(() => {
      if (!this.session.closed && !this.session.output.paused) socket.resume();
    }, waitMs).unref();
  }

  private closeWhenDone(): void {
    if (this.draining === 'final' && this.streams.count === 0) this.session.close();
  }

  private readHead(bytes: Buffer, start: number, end: number): RequestHead<Method> {
    const { decoder } = this.session;
    const version = decoder.version;
    this.fields.reset();
    decoder.decode(bytes, start, end, this.fields);
    const head = this.authorized(readRequestHead(this.fields, (path) => this.context.methods.get(path)));
    if (decoder.version === version) this.heads.store(bytes, start, end, version, head);
    return head;
  }

  private authorized(head: RequestHead<Method>): RequestHead<Method> {
    if (this.context.authorize === undefined || head.method === undefined) return head;
    const error = this.context.authorize(head.path, Metadata.fromFields(head.names, head.values, head.names.length), this.peer);
    return error === undefined ? head : { ...head, method: undefined, refusal: { kind: 'grpc', error } };
  }

  private onTrailers(stream: ServerStream, bytes: Buffer, start: number, end: number, endStream: boolean): void {
    this.fields.reset();
    this.session.decoder.decode(bytes, start, end, this.fields);
    if (stream.remoteEnded) return stream.reset(ErrorCode.STREAM_CLOSED, 'HEADERS behind the end of the request.');
    if (!endStream) return stream.reset(ErrorCode.PROTOCOL_ERROR, 'A second header block that does not end the request.');
    const fault = faultOfTrailers(this.fields);
    if (fault !== undefined) return stream.reset(ErrorCode.PROTOCOL_ERROR, `Malformed trailers: ${fault}.`);
    stream.onRemoteEnd();
  }

  /** Headers on a stream that is no more: an error, unless we reset it and its trailers were under way. */
  private onLateHeaders(streamId: number, bytes: Buffer, start: number, end: number): void {
    this.fields.reset();
    this.session.decoder.decode(bytes, start, end, this.fields);
    if (!this.recentlyReset.has(streamId)) throw new ConnectionError(ErrorCode.STREAM_CLOSED, 'HEADERS on a closed stream');
  }

  private refuse(streamId: number): void {
    this.session.control.spend(this.session.nowMs);
    this.context.stats.streamsRefused++;
    this.recentlyReset.add(streamId);
    this.session.resetStream(streamId, ErrorCode.REFUSED_STREAM);
  }

  private answerRefusal(stream: ServerStream, refusal: NonNullable<RequestHead<Method>['refusal']>, endStream: boolean): void {
    if (refusal.kind === 'http') {
      if (endStream) stream.onRemoteEnd();
      return;
    }
    stream.remoteEnded = endStream;
    if (refusal.kind === 'malformed') stream.reset(ErrorCode.PROTOCOL_ERROR, `Malformed request: ${refusal.fault}.`);
    else stream.answerError(refusal.error);
  }
}

const DRAIN_PING = Buffer.from('drain...', 'latin1');
