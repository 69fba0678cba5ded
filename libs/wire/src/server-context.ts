import { FloodNotes } from './flood-notes.js';
import type { HotUnaryHandler, MethodEntry, ServiceTable } from './handler.js';
import { HotCalls } from './hot-calls.js';
import { Inflater } from './inflate.js';
import type { Limits } from './limits.js';
import type { Metadata } from './metadata.js';
import { ServerStream } from './server-stream.js';
import type { GrpcError } from './status.js';
import { Tick } from './tick.js';

/** Says no to a call before its message is read. It is asked once per distinct header block of a connection, not per call. */
export type Authorize = (path: string, metadata: Metadata, peer: string) => GrpcError | undefined;

export interface Method {
  readonly path: string;
  readonly entry: MethodEntry;
  /** Set for hot methods only. */
  readonly hot: HotUnaryHandler | undefined;
}

/** Counters since start; `connections` and `calls...Open` are what is there now. */
export interface ServerStats {
  connectionsOpen: number;
  connectionsAccepted: number;
  connectionsRefused: number;
  /** Connections that were first left unread, because one from their address had just been ended for a flood. */
  connectionsHeld: number;
  /** Connections that we ended because the peer broke the protocol or a limit. */
  connectionsFailed: number;
  callsStarted: number;
  callsAnswered: number;
  callsFailed: number;
  callsCancelled: number;
  streamsRefused: number;
  /** Bytes held for messages that are unfinished or unread. */
  bufferedBytes: number;
}

/** What all connections of one server share. */
export class ServerContext {
  readonly tick = new Tick();
  readonly inflater: Inflater;
  readonly floods: FloodNotes;
  readonly hotCalls = new HotCalls(this);
  readonly methods = new Map<string, Method>();
  readonly stats: ServerStats = {
    connectionsOpen: 0,
    connectionsAccepted: 0,
    connectionsRefused: 0,
    connectionsHeld: 0,
    connectionsFailed: 0,
    callsStarted: 0,
    callsAnswered: 0,
    callsFailed: 0,
    callsCancelled: 0,
    streamsRefused: 0,
    bufferedBytes: 0,
  };
  /** All streams ever made, by handle; those not in use wait in `free`. */
  private readonly streams: ServerStream[] = [];
  private readonly free: ServerStream[] = [];

  constructor(
    table: ServiceTable,
    readonly limits: Limits,
    readonly authorize: Authorize | undefined,
    /** Messages of ordinary methods are sent as gzip to clients that accept it. */
    readonly compressAnswers: boolean,
    readonly onDefect: (error: unknown) => void,
  ) {
    this.inflater = new Inflater(limits.inflationsMax);
    this.floods = new FloodNotes(limits.floodHoldMs);
    for (const entry of table) {
      const path = entry.kind === 'hot' ? entry.path : entry.definition.path;
      if (this.methods.has(path)) throw new Error(`The method ${path} is in the service table twice.`);
      this.methods.set(path, { path, entry, hot: entry.kind === 'hot' ? entry.hot(this.hotCalls) : undefined });
    }
  }

  acquireStream(): ServerStream {
    const free = this.free.pop();
    if (free !== undefined) return free;
    const stream = new ServerStream(this, this.streams.length);
    this.streams.push(stream);
    return stream;
  }

  releaseStream(stream: ServerStream): void {
    this.free.push(stream);
  }

  streamOf(handle: number): ServerStream | undefined {
    return this.streams[handle];
  }
}
