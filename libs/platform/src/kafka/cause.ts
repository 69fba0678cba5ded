import type { EventHeaders } from '@headrace/events/envelope';

/** What an event follows from; its trace and its chain go on in the next one. */
export interface Cause {
  readonly traceparent: string;
  readonly correlationId: string;
  readonly causationId: string;
}

export function causeOf(received: Pick<EventHeaders, 'id' | 'traceparent' | 'correlationId'>): Cause {
  return { traceparent: received.traceparent, correlationId: received.correlationId, causationId: received.id };
}
