import type { HotUnaryHandler } from './handler.js';

export interface Flushable {
  flush(): void;
}

/**
 * One event-loop turn of a server or client. All that became ready to do in the turn (batches of hot calls, output of connections) is done
 * once, in the check phase, when the chunks of all sockets of the turn have been read.
 */
export class Tick {
  private scheduled = false;
  private readonly handlers: HotUnaryHandler[] = [];
  /** The first `count` have output. The arrays keep their length, because V8 lets go of the memory of one that is emptied. */
  private connections: Flushable[] = [];
  private spareConnections: Flushable[] = [];
  private count = 0;

  /** The handler's `onTick` comes at the end of this turn; callers make sure that it is asked for once a turn. */
  wake(handler: HotUnaryHandler): void {
    if (this.handlers.indexOf(handler) < 0) this.handlers.push(handler);
    this.schedule();
  }

  /** The connection has output; callers make sure that it is asked for once until its `flush`. */
  touch(connection: Flushable): void {
    this.connections[this.count++] = connection;
    this.schedule();
  }

  /** What stands in the outputs of all connections leaves now, in the middle of the turn. */
  flush(): void {
    const { connections, count } = this;
    this.connections = this.spareConnections;
    this.spareConnections = connections;
    this.count = 0;
    for (let i = 0; i < count; i++) {
      connections[i]!.flush();
      connections[i] = NOBODY;
    }
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(this.run);
  }

  private readonly run = (): void => {
    this.scheduled = false;
    const { handlers } = this;
    const count = handlers.length;
    for (let i = 0; i < count; i++) handlers[i]!.onTick();
    if (handlers.length === count) handlers.length = 0;
    else handlers.splice(0, count);
    this.flush();
  };
}

/** In the place of a connection that was flushed: one that is gone is not kept. */
const NOBODY: Flushable = { flush: () => undefined };
