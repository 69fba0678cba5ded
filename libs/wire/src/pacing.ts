import type { Limits } from './limits.js';
import type { Session } from './session.js';
import type { StreamSender } from './stream-sender.js';

/** Output of one turn after which a stream of messages lets the event loop run. */
const TURN_BYTES_MAX = 65_536;

/** Holds a writer of many messages back while the peer or the socket does not take what is there. */
export class Pacing {
  private resume: (() => void) | null = null;

  constructor(
    private readonly session: Session,
    private readonly sender: StreamSender,
    private readonly limits: Limits,
  ) {}

  /** Resolves when there is room, or when `isOver` and nobody needs it any more. */
  async room(isOver: () => boolean): Promise<void> {
    const { output } = this.session;
    if (output.turnBytes > TURN_BYTES_MAX) await new Promise(setImmediate);
    while (!isOver() && this.sender.queuedBytes > this.limits.streamOutputBytesMax)
      await new Promise<void>((resolve) => (this.resume = resolve));
    while (!isOver() && output.waitingBytes > this.limits.outputBytesMax) await output.drained();
  }

  /** The queue of the stream ran empty, or the call is over. */
  wake(): void {
    this.resume?.();
    this.resume = null;
  }
}
