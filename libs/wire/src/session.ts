import type { Socket } from 'node:net';
import type { ProtoWriter } from '@headrace/codec/writer';
import { FrameBudget, grownWindow, ReceiveWindow } from './flow-control.js';
import {
  ConnectionError,
  ErrorCode,
  Flag,
  FrameType,
  readUint32,
  WINDOW_DEFAULT,
  writeGoaway,
  writePing,
  writeReset,
  writeSettings,
  writeSettingsAck,
  writeWindowUpdate,
} from './frames.js';
import { FrameSplitter } from './frame-splitter.js';
import type { FrameSink } from './frame-splitter.js';
import { HeaderAssembly } from './header-assembly.js';
import { HpackDecoder, HpackError } from './hpack-decoder.js';
import { HpackEncoder } from './hpack-encoder.js';
import type { Limits } from './limits.js';
import { PeerSettings } from './peer-settings.js';
import { SocketOutput } from './socket-output.js';
import type { Tick } from './tick.js';

/** What the two ends of a connection do differently: streams. Byte ranges are valid during the call. */
export interface SessionRole {
  /** A whole header block; it must be decoded with `session.decoder`, also when it is refused. */
  onHeaders(streamId: number, bytes: Buffer, start: number, end: number, endStream: boolean): void;
  /** `frameBytes` counts for flow control; padding is not in the range. */
  onData(streamId: number, bytes: Buffer, start: number, end: number, endStream: boolean, frameBytes: number): void;
  onReset(streamId: number, code: number): void;
  onStreamWindow(streamId: number, increment: number): void;
  /** The peer changed its initial window: the send windows of all streams move by `delta`. */
  onInitialWindow(delta: number): void;
  onConnectionWindow(): void;
  onSettings(): void;
  onGoaway(lastStreamId: number, code: number, message: string): void;
  onPingAck(payload: Uint8Array): void;
  /** True for a stream that nobody has opened yet. */
  isIdle(streamId: number): boolean;
  /** For the GOAWAY of a connection error: the last stream of the peer that we acted on. */
  readonly lastPeerStreamId: number;
  /** Once, when the connection is over for whatever reason. */
  onClosed(cause: ConnectionError | undefined): void;
}

/**
 * One HTTP/2 connection, without its streams: frame rules, header blocks, SETTINGS, PING, GOAWAY, the connection's windows, the flood
 * budgets and the output. Server and client connections are its two roles.
 */
export class Session implements FrameSink {
  readonly decoder: HpackDecoder;
  readonly encoder = new HpackEncoder();
  readonly peer = new PeerSettings();
  readonly output: SocketOutput;
  readonly resets: FrameBudget;
  readonly control: FrameBudget;
  /** PING and SETTINGS, which we answer; acknowledgements count, too. */
  readonly pings: FrameBudget;
  readonly windowUpdates: FrameBudget;
  /** What we may send on the whole connection. */
  sendWindow = WINDOW_DEFAULT;
  /** The clock of the chunk that is being read, ms since the epoch. */
  nowMs = Date.now();
  /** Last time that bytes came, for keepalive and watchdogs. */
  readonly openedMs = Date.now();
  settingsAcknowledged = false;
  closed = false;
  private failed = false;
  private readonly receiveWindow: ReceiveWindow;
  private readonly splitter = new FrameSplitter(this);
  private readonly headers: HeaderAssembly;
  /** When the frame or header block began that is still unfinished, or 0. */
  partialSinceMs = 0;

  constructor(
    readonly socket: Socket,
    readonly limits: Limits,
    tick: Tick,
    private readonly role: SessionRole,
    private readonly onDefect: (error: unknown) => void,
  ) {
    this.decoder = new HpackDecoder(limits.headerListBytesMax);
    this.headers = new HeaderAssembly(limits.headerBlockBytesMax);
    this.receiveWindow = new ReceiveWindow(limits.connectionWindowBytes);
    this.resets = new FrameBudget(limits.resetBurst, limits.resetsPerSecond, 'reset streams');
    this.control = new FrameBudget(limits.controlBurst, limits.controlPerSecond, 'control frames');
    this.pings = new FrameBudget(limits.pingBurst, limits.pingsPerSecond, 'PING or SETTINGS frames');
    this.windowUpdates = new FrameBudget(limits.windowUpdateBurst, limits.windowUpdatesPerSecond, 'window updates');
    this.output = new SocketOutput(socket, tick, limits.outputBytesMax);
    socket.once('close', () => this.finish(undefined));
    socket.on('error', () => socket.destroy());
  }

  /** Our SETTINGS, and the connection window beyond its default. */
  open(settings: readonly (readonly [id: number, value: number])[]): void {
    const out = this.out();
    writeSettings(out, settings);
    writeWindowUpdate(out, 0, this.limits.connectionWindowBytes - WINDOW_DEFAULT);
  }

  /** The buffer of this turn's output; all that is written here leaves in one write at the end of the turn. */
  out(): ProtoWriter {
    return this.output.buffer();
  }

  /** A chunk, `bytes[start, end)`. */
  read(bytes: Buffer, start: number, end: number): void {
    if (this.failed || this.closed) return;
    this.nowMs = Date.now();
    try {
      this.splitter.push(bytes, start, end);
    } catch (error) {
      if (error instanceof ConnectionError) this.fail(error);
      else if (error instanceof HpackError) this.fail(new ConnectionError(ErrorCode.COMPRESSION_ERROR, error.message));
      else {
        this.fail(new ConnectionError(ErrorCode.INTERNAL_ERROR, 'defect'));
        this.onDefect(error);
      }
      return;
    }
    if (!this.splitter.isPartial && this.headers.streamId === 0) this.partialSinceMs = 0;
    else if (this.partialSinceMs === 0) this.partialSinceMs = this.nowMs;
  }

  onFrame(type: number, flags: number, streamId: number, bytes: Buffer, start: number, end: number): boolean {
    if (!this.peer.received && (type !== FrameType.SETTINGS || (flags & Flag.ACK) !== 0))
      throw protocolError('the first frame is not SETTINGS');
    if (this.headers.streamId !== 0 && (type !== FrameType.CONTINUATION || streamId !== this.headers.streamId))
      throw protocolError('a frame inside a header block');
    switch (type) {
      case FrameType.DATA:
        this.onDataFrame(flags, streamId, bytes, start, end);
        break;
      case FrameType.HEADERS:
        if (this.headers.begin(flags, streamId, bytes, start, end))
          this.role.onHeaders(streamId, bytes, this.headers.start, this.headers.end, (flags & Flag.END_STREAM) !== 0);
        break;
      case FrameType.CONTINUATION:
        if (start === end) this.control.spend(this.nowMs);
        if (this.headers.append(flags, streamId, bytes, start, end))
          this.role.onHeaders(streamId, this.headers.takeBlock(), 0, this.headers.end, this.headers.endStream);
        break;
      case FrameType.RST_STREAM:
        this.onResetFrame(streamId, bytes, start, end);
        break;
      case FrameType.WINDOW_UPDATE:
        this.onWindowUpdateFrame(streamId, bytes, start, end);
        break;
      default:
        this.onControlFrame(type, flags, streamId, bytes, start, end);
    }
    return !this.failed && !this.closed;
  }

  /** Ends the connection because of the peer: GOAWAY with the reason, then close. */
  fail(error: ConnectionError): void {
    if (this.failed || this.closed) return;
    this.failed = true;
    writeGoaway(this.out(), this.role.lastPeerStreamId, error.code, error.message);
    this.output.end(error.isFlood ? this.limits.floodHoldMs : 0);
    this.finish(error);
  }

  /** Ends it because we are done; output that is ready still leaves. */
  close(code: ErrorCode = ErrorCode.NO_ERROR, message = ''): void {
    if (this.failed || this.closed) return;
    writeGoaway(this.out(), this.role.lastPeerStreamId, code, message);
    this.output.end();
    this.finish(undefined);
  }

  destroy(): void {
    this.socket.destroy();
    this.finish(undefined);
  }

  /** A call was answered: useful work, which pays for frames to come. */
  earnByCall(): void {
    this.resets.earn(1);
    this.control.earn(4);
    this.pings.earn(4);
  }

  resetStream(streamId: number, code: ErrorCode): void {
    writeReset(this.out(), streamId, code);
  }

  private finish(cause: ConnectionError | undefined): void {
    if (this.closed) return;
    this.closed = true;
    this.role.onClosed(cause);
  }

  private onDataFrame(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    if (streamId === 0) throw protocolError('DATA on stream 0');
    const frameBytes = end - start;
    if ((flags & Flag.PADDED) !== 0) {
      if (frameBytes === 0) throw frameSizeError('DATA without its pad length');
      const padding = bytes[start++]!;
      end -= padding;
      if (end < start) throw protocolError('padding longer than the frame');
    }
    if (!this.receiveWindow.receive(frameBytes))
      throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'DATA beyond the connection window');
    const credit = this.receiveWindow.consume(frameBytes);
    if (credit > 0) writeWindowUpdate(this.out(), 0, credit);
    if (start === end && (flags & Flag.END_STREAM) === 0) this.control.spend(this.nowMs);
    if (this.role.isIdle(streamId)) throw protocolError('DATA on an idle stream');
    this.role.onData(streamId, bytes, start, end, (flags & Flag.END_STREAM) !== 0, frameBytes);
  }

  private onResetFrame(streamId: number, bytes: Buffer, start: number, end: number): void {
    if (streamId === 0 || this.role.isIdle(streamId)) throw protocolError('RST_STREAM on an idle stream');
    if (end - start !== 4) throw frameSizeError('RST_STREAM');
    this.resets.spend(this.nowMs);
    this.role.onReset(streamId, readUint32(bytes, start));
  }

  private onWindowUpdateFrame(streamId: number, bytes: Buffer, start: number, end: number): void {
    if (end - start !== 4) throw frameSizeError('WINDOW_UPDATE');
    this.windowUpdates.spend(this.nowMs);
    const increment = readUint32(bytes, start) & 0x7fff_ffff;
    if (streamId !== 0) {
      if (this.role.isIdle(streamId)) throw protocolError('WINDOW_UPDATE on an idle stream');
      this.role.onStreamWindow(streamId, increment);
      return;
    }
    if (increment === 0) throw protocolError('WINDOW_UPDATE of 0');
    const grown = grownWindow(this.sendWindow, increment);
    if (grown === undefined) throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'connection window above 2^31-1');
    this.sendWindow = grown;
    this.role.onConnectionWindow();
  }

  private onControlFrame(type: number, flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    this.control.spend(this.nowMs);
    if (type === FrameType.PING || type === FrameType.SETTINGS) this.pings.spend(this.nowMs);
    const size = end - start;
    switch (type) {
      case FrameType.SETTINGS:
        if (streamId !== 0) throw protocolError('SETTINGS on a stream');
        this.onSettingsFrame(flags, bytes, start, end);
        return;
      case FrameType.PING:
        if (streamId !== 0) throw protocolError('PING on a stream');
        if (size !== 8) throw frameSizeError('PING');
        if ((flags & Flag.ACK) !== 0) this.role.onPingAck(bytes.subarray(start, end));
        else writePing(this.out(), true, bytes, start);
        return;
      case FrameType.GOAWAY:
        if (streamId !== 0) throw protocolError('GOAWAY on a stream');
        if (size < 8) throw frameSizeError('GOAWAY');
        this.role.onGoaway(
          readUint32(bytes, start) & 0x7fff_ffff,
          readUint32(bytes, start + 4),
          bytes.toString('utf8', start + 8, Math.min(end, start + 264)),
        );
        return;
      case FrameType.PRIORITY:
        // Deprecated by RFC 9113: checked for form and ignored.
        if (streamId === 0) throw protocolError('PRIORITY on stream 0');
        if (size !== 5) this.resetStream(streamId, ErrorCode.FRAME_SIZE_ERROR);
        else if ((readUint32(bytes, start) & 0x7fff_ffff) === streamId) this.resetStream(streamId, ErrorCode.PROTOCOL_ERROR);
        return;
      case FrameType.PUSH_PROMISE:
        throw protocolError('PUSH_PROMISE, which we forbid');
      default:
      // Frames of unknown types must be ignored (RFC 9113 section 4.1).
    }
  }

  private onSettingsFrame(flags: number, bytes: Buffer, start: number, end: number): void {
    if ((flags & Flag.ACK) !== 0) {
      if (start !== end) throw frameSizeError('SETTINGS acknowledgement with content');
      this.settingsAcknowledged = true;
      return;
    }
    const windowDelta = this.peer.apply(bytes, start, end);
    this.encoder.setPeerTableSize(this.peer.headerTableBytes);
    writeSettingsAck(this.out());
    if (windowDelta !== 0) this.role.onInitialWindow(windowDelta);
    this.role.onSettings();
  }
}

function protocolError(what: string): ConnectionError {
  return new ConnectionError(ErrorCode.PROTOCOL_ERROR, what);
}

function frameSizeError(what: string): ConnectionError {
  return new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, `${what} of a wrong size`);
}
