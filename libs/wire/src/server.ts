import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer as createTlsServer, Server as TlsServer } from 'node:tls';
import type { TlsOptions } from 'node:tls';
import { watchConnection } from './connection-watch.js';
import type { ServiceTable } from './handler.js';
import { limitsWith } from './limits.js';
import type { Limits } from './limits.js';
import { ServerConnection } from './server-connection.js';
import { ServerContext } from './server-context.js';
import type { Authorize, ServerStats } from './server-context.js';

export interface WireServerOptions {
  readonly limits?: Partial<Limits>;
  readonly authorize?: Authorize;
  /** Certificate and key; ALPN `h2` is demanded of clients. Without it the server speaks plain HTTP/2 (prior knowledge). */
  readonly tls?: TlsOptions;
  /** Messages of ordinary methods are sent as gzip to clients that accept it. Default: false, CPU is dearer than a network of one's own. */
  readonly compressAnswers?: boolean;
  /** Hears of errors that are defects (of a handler, or ours), for the log. Default: a process warning. */
  readonly onDefect?: (error: unknown) => void;
}

export interface ListenOptions {
  readonly host?: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Several processes listen on the same port, and the kernel spreads connections over them (Linux). */
  readonly reusePort?: boolean;
}

const TLS_MIN = 'TLSv1.2';

/** How often connections are looked at for watchdogs, keepalive and age. */
const WATCH_MS = 500;

/**
 * A gRPC server over `node:net` or `node:tls`. `drain` ends it without losing a call; `destroy` at once.
 */
export class WireServer {
  private readonly context: ServerContext;
  private readonly connections = new Set<ServerConnection>();
  /** Taken from the kernel, but not through their TLS handshake: a drain waits for them, too. */
  private readonly handshakes = new Map<string, Socket>();
  private readonly listener: Server;
  private readonly watch: NodeJS.Timeout;
  private isDraining = false;
  private onEmpty: (() => void) | null = null;

  constructor(table: ServiceTable, options: WireServerOptions = {}) {
    const onDefect = options.onDefect ?? ((error: unknown): void => process.emitWarning(error instanceof Error ? error : String(error)));
    this.context = new ServerContext(table, limitsWith(options.limits), options.authorize, options.compressAnswers ?? false, onDefect);
    this.listener = options.tls === undefined ? this.listenPlain() : this.listenTls(options.tls);
    this.watch = setInterval(() => this.watchAll(), WATCH_MS);
    this.watch.unref();
  }

  get stats(): Readonly<ServerStats> {
    return this.context.stats;
  }

  /** Resolves with the bound address. */
  listen(options: ListenOptions): Promise<AddressInfo> {
    return new Promise((resolve, reject) => {
      this.listener.once('error', reject);
      this.listener.listen(
        { host: options.host ?? '127.0.0.1', port: options.port, reusePort: options.reusePort ?? false, backlog: 1024 },
        () => {
          this.listener.off('error', reject);
          resolve(this.listener.address() as AddressInfo);
        },
      );
    });
  }

  /**
   * Takes no new connections, tells clients to go elsewhere, lets open calls finish, and resolves when all are gone. After `capMs`
   * (default `drainMs`) what is left is cut.
   */
  async drain(capMs: number = this.context.limits.drainMs): Promise<void> {
    // Behind the poll phase: what the kernel has accepted for us is taken first, because closing the listener resets it.
    await new Promise((resolve) => setImmediate(resolve));
    this.listener.close();
    this.isDraining = true;
    for (const connection of this.connections) connection.drain();
    if (!this.isEmpty) {
      const empty = new Promise<void>((resolve) => (this.onEmpty = resolve));
      const cap = setTimeout(() => this.destroy(), capMs);
      await empty;
      clearTimeout(cap);
    }
    clearInterval(this.watch);
  }

  destroy(): void {
    this.listener.close();
    clearInterval(this.watch);
    for (const connection of [...this.connections]) connection.session.destroy();
    for (const socket of [...this.handshakes.values()]) socket.destroy();
  }

  /** Another certificate, key or authority of clients for connections made from now on; those that stand live on. @throws when TLS refuses it */
  renewTls(tls: Pick<TlsOptions, 'cert' | 'key' | 'ca'>): void {
    if (this.listener instanceof TlsServer) this.listener.setSecureContext({ minVersion: TLS_MIN, ...tls });
  }

  /** Permissions changed: every header block is authorized anew at its next use. */
  reauthorize(): void {
    for (const connection of this.connections) connection.reauthorize();
  }

  private listenPlain(): Server {
    return createServer({ noDelay: true }, (socket) => this.accept(socket));
  }

  private listenTls(tls: TlsOptions): Server {
    const server = createTlsServer(
      { minVersion: TLS_MIN, ...tls, ALPNProtocols: ['h2'], handshakeTimeout: this.context.limits.handshakeMs },
      (socket) => {
        if (socket.alpnProtocol === 'h2') this.accept(socket);
        else socket.destroy();
        this.endHandshake(peerOf(socket));
      },
    );
    server.on('connection', (socket: Socket) => {
      socket.setNoDelay(true);
      if (this.isFull) return void this.refuse(socket);
      const peer = peerOf(socket);
      this.handshakes.set(peer, socket);
      socket.once('close', () => {
        if (this.handshakes.get(peer) === socket) this.endHandshake(peer);
      });
    });
    // A failed handshake is the client's affair. Node leaves the socket open when the time for it is over.
    server.on('tlsClientError', (_error, socket) => {
      this.context.stats.connectionsFailed++;
      socket.destroy();
    });
    return server;
  }

  private accept(socket: Socket): void {
    const { stats } = this.context;
    // One that has shaken hands is counted there until we return.
    if (!this.handshakes.has(peerOf(socket)) && this.isFull) return this.refuse(socket);
    stats.connectionsAccepted++;
    const connection = new ServerConnection(socket, this.context, (gone) => this.forget(gone));
    this.connections.add(connection);
    stats.connectionsOpen = this.connections.size;
    if (this.isDraining) connection.drain();
  }

  /** Those in their handshake count, or a peer that never ends it would be free of the bound. */
  private get isFull(): boolean {
    return this.connections.size + this.handshakes.size >= this.context.limits.connectionsMax;
  }

  private refuse(socket: Socket): void {
    this.context.stats.connectionsRefused++;
    socket.destroy();
  }

  private endHandshake(peer: string): void {
    if (this.handshakes.delete(peer) && this.isEmpty) this.onEmpty?.();
  }

  private forget(connection: ServerConnection): void {
    this.connections.delete(connection);
    this.context.stats.connectionsOpen = this.connections.size;
    if (this.isEmpty) this.onEmpty?.();
  }

  private get isEmpty(): boolean {
    return this.connections.size === 0 && this.handshakes.size === 0;
  }

  private watchAll(): void {
    const nowMs = Date.now();
    for (const connection of this.connections) watchConnection(connection, this.context.limits, nowMs);
  }
}

/** The two sockets of a TLS connection, the plain one and that on top of it, have this in common. */
function peerOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}
