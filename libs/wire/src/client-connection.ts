import type { Socket } from 'node:net';
import { ClientStream } from './client-stream.js';
import type { ClientReceiver } from './client-stream.js';
import { ConnectionError, ErrorCode, PREFACE, Setting, STREAM_ID_MAX, writePing } from './frames.js';
import { HeaderBlockCache } from './header-block-cache.js';
import { HeaderTemplate, sendHeaders } from './header-writer.js';
import type { Fields } from './header-writer.js';
import { HeaderFields } from './hpack-decoder.js';
import type { Inflater } from './inflate.js';
import type { Limits } from './limits.js';
import { readResponseHead } from './response-head.js';
import type { ResponseHead } from './response-head.js';
import { Session } from './session.js';
import type { SessionRole } from './session.js';
import { readSocket } from './socket-input.js';
import { GrpcError, Status, statusOfReset } from './status.js';
import { StreamTable } from './stream-table.js';
import { BlockedSenders } from './stream-sender.js';
import type { Tick } from './tick.js';

/** Distinct request header blocks that are kept ready; a client has a handful of methods. */
const TEMPLATES_MAX = 64;

export interface ClientConnectionEvents {
  /** The server's SETTINGS came: calls may start. */
  onReady(): void;
  /** A call ended, or the server allows more of them. */
  onRoom(): void;
  /** No new calls here: the server goes away, ids ran out, or the connection is lost. Open calls may still finish. */
  onLeaving(why: GrpcError): void;
  onClosed(): void;
}

/** The client's end of a connection. */
export class ClientConnection implements SessionRole {
  readonly session: Session;
  readonly streams = new StreamTable<ClientStream>();
  readonly blocked = new BlockedSenders();
  readonly lastPeerStreamId = 0;
  ready = false;
  leaving = false;
  lastReadMs = Date.now();
  private pingSentMs = 0;
  private nextStreamId = 1;
  private bufferedBytes = 0;
  private readonly heads = new HeaderBlockCache<ResponseHead>();
  private readonly fields: HeaderFields;
  private readonly templates = new Map<string, HeaderTemplate>();

  constructor(
    socket: Socket,
    private readonly limits: Limits,
    tick: Tick,
    private readonly inflater: Inflater,
    private readonly events: ClientConnectionEvents,
    onDefect: (error: unknown) => void,
  ) {
    this.fields = new HeaderFields(limits.headerListBytesMax);
    this.session = new Session(socket, limits, tick, this, onDefect);
    this.session.out().raw(PREFACE);
    this.session.open([
      [Setting.ENABLE_PUSH, 0],
      [Setting.INITIAL_WINDOW_SIZE, limits.streamWindowBytes],
      [Setting.MAX_HEADER_LIST_SIZE, limits.headerListBytesMax],
    ]);
    readSocket(socket, (bytes, end) => {
      this.session.read(bytes, 0, end);
      this.lastReadMs = this.session.nowMs;
    });
  }

  get hasRoom(): boolean {
    return this.ready && !this.leaving && this.streams.count < Math.min(this.session.peer.streamsMax, this.limits.streamsMax);
  }

  /** Opens a stream with these headers; `key` names them when they are the same each time. */
  openStream(receiver: ClientReceiver, fields: Fields, key: string | undefined): ClientStream {
    const stream = new ClientStream(this, receiver, this.limits, this.inflater);
    stream.id = this.nextStreamId;
    this.nextStreamId += 2;
    stream.sender.open(this.session, this.blocked, stream.id);
    this.streams.add(stream);
    if (key === undefined) sendHeaders(this.session, stream.id, fields, false);
    else this.template(key, fields).send(this.session, stream.id, false);
    if (this.nextStreamId > STREAM_ID_MAX) this.leave(new GrpcError(Status.UNAVAILABLE, 'The stream ids of the connection are used up.'));
    return stream;
  }

  onHeaders(streamId: number, bytes: Buffer, start: number, end: number, endStream: boolean): void {
    if (this.isIdle(streamId)) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, 'HEADERS on an idle stream');
    const head = this.heads.find(bytes, start, end, this.session.decoder.version) ?? this.readHead(bytes, start, end);
    this.streams.get(streamId)?.onHead(head, endStream);
  }

  onData(streamId: number, bytes: Buffer, start: number, end: number, endStream: boolean, frameBytes: number): void {
    // Of a stream that we cancelled it may still come; the connection's window has been credited already.
    this.streams.get(streamId)?.onData(bytes, start, end, endStream, frameBytes);
  }

  onReset(streamId: number, code: number): void {
    const refused = code === ErrorCode.REFUSED_STREAM;
    this.streams.get(streamId)?.lost(new GrpcError(statusOfReset(code), `The server reset the stream with code ${code}.`), refused);
  }

  onStreamWindow(streamId: number, increment: number): void {
    const stream = this.streams.get(streamId);
    if (stream === undefined) return;
    if (increment === 0 || !stream.sender.grow(increment))
      stream.cancel(ErrorCode.FLOW_CONTROL_ERROR, new GrpcError(Status.INTERNAL, 'The server broke the flow control of the stream.'));
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
    if (this.ready) return this.events.onRoom();
    this.ready = true;
    this.events.onReady();
  }

  onGoaway(lastStreamId: number, code: number, message: string): void {
    const why = new GrpcError(Status.UNAVAILABLE, `The server goes away (code ${code}${message === '' ? '' : `, ${message}`}).`);
    this.leave(why);
    for (const stream of this.streams.all()) if (stream.id > lastStreamId) stream.lost(why, true);
  }

  onPingAck(): void {
    this.pingSentMs = 0;
  }

  isIdle(streamId: number): boolean {
    return (streamId & 1) === 0 || streamId >= this.nextStreamId;
  }

  onClosed(cause: ConnectionError | undefined): void {
    const why = new GrpcError(
      Status.UNAVAILABLE,
      cause === undefined ? 'The connection to the server is lost.' : `The connection failed: ${cause.message}.`,
    );
    this.leave(why);
    for (const stream of this.streams.all()) stream.lost(why, false);
    this.events.onClosed();
  }

  forget(stream: ClientStream): void {
    this.streams.remove(stream.id);
    this.session.earnByCall();
    if (this.leaving) {
      if (this.streams.count === 0) this.session.close();
    } else this.events.onRoom();
  }

  buffered(delta: number): boolean {
    if (delta > 0 && this.bufferedBytes + delta > this.limits.connectionBufferBytesMax) return false;
    this.bufferedBytes += delta;
    return true;
  }

  /** Keepalive: a silent server with open calls is asked by PING, and given up when it does not answer. */
  watch(nowMs: number): void {
    const { keepaliveMs, keepaliveTimeoutMs } = this.limits;
    if (keepaliveMs === 0 || this.session.closed) return;
    if (this.pingSentMs > 0 && nowMs - this.pingSentMs > keepaliveTimeoutMs) this.session.destroy();
    else if (this.pingSentMs === 0 && this.streams.count > 0 && nowMs - this.lastReadMs > keepaliveMs) {
      this.pingSentMs = nowMs;
      writePing(this.session.out(), false, KEEPALIVE_PING);
    }
  }

  /** No new calls; closes behind the last open one. */
  leave(why: GrpcError): void {
    if (this.leaving) return;
    this.leaving = true;
    this.events.onLeaving(why);
    if (this.streams.count === 0) this.session.close();
  }

  private template(key: string, fields: Fields): HeaderTemplate {
    let template = this.templates.get(key);
    if (template === undefined) {
      if (this.templates.size >= TEMPLATES_MAX) this.templates.clear();
      this.templates.set(key, (template = new HeaderTemplate(fields)));
    }
    return template;
  }

  private readHead(bytes: Buffer, start: number, end: number): ResponseHead {
    const { decoder } = this.session;
    const version = decoder.version;
    this.fields.reset();
    decoder.decode(bytes, start, end, this.fields);
    const head = readResponseHead(this.fields, this.fields.count > 0 && !this.fields.names[0]!.startsWith(':'));
    if (decoder.version === version) this.heads.store(bytes, start, end, version, head);
    return head;
  }
}

const KEEPALIVE_PING = Buffer.from('alive?..', 'latin1');
