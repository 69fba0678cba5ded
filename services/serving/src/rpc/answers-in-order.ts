/** Requests of one stream that may be inside at once; a caller that sends more is not read meanwhile. */
const INSIDE_MAX = 64;

/**
 * Answers of a stream in the order of its requests, many of which are under way at once. @param answer never rejects for one bad
 * request; a rejection ends the stream.
 */
export async function* answersInOrder<Q, S>(
  requests: AsyncIterable<Q>,
  answer: (request: Q) => Promise<S>,
  insideMax = INSIDE_MAX,
): AsyncIterable<S> {
  const iterator = requests[Symbol.asyncIterator]();
  const inside: Promise<{ readonly kind: 'answer'; readonly answer: S }>[] = [];
  let coming: Promise<{ readonly kind: 'request'; readonly next: IteratorResult<Q> }> | undefined;
  let isEnded = false;
  try {
    for (;;) {
      if (!isEnded && !coming && inside.length < insideMax) coming = handled(iterator.next().then((next) => ({ kind: 'request', next })));
      const first = inside[0];
      if (!coming && !first) return;
      const event = await (coming && first ? Promise.race([first, coming]) : (first ?? coming!));
      if (event.kind === 'answer') {
        void inside.shift();
        yield event.answer;
        continue;
      }
      coming = undefined;
      if (event.next.done) isEnded = true;
      else inside.push(handled(answer(event.next.value).then((value) => ({ kind: 'answer', answer: value }))));
    }
  } finally {
    // Not awaited: it waits for the request that is asked for, and that may never come. What it throws belongs to a call that is over.
    void iterator.return?.().catch(() => undefined);
  }
}

/** Awaited later, perhaps never: a rejection before that is no defect of the process. */
function handled<T>(work: Promise<T>): Promise<T> {
  work.catch(() => undefined);
  return work;
}
