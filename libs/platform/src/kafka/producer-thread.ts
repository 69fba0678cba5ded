import { toAppError } from '@headrace/base/errors';
import { parentPort, workerData } from 'node:worker_threads';
import type { LibraryLog } from './client.js';
import { kafkajsLibrary } from './kafkajs-client.js';
import { platformaticLibrary } from './platformatic-client.js';
import type { FromThread, ThreadOptions, ToThread } from './threaded-producer.js';

const LIBRARIES = { kafkajs: kafkajsLibrary, platformatic: platformaticLibrary };

/** The thread behind ThreadedProducer: one producer, which ends with `close`. */
const port = parentPort!;
const { library, kafka } = workerData as ThreadOptions;
const say = (message: FromThread): void => port.postMessage(message);
const log: LibraryLog = {
  warn: (message, fields = {}) => say({ kind: 'log', level: 'warn', message, fields: plain(fields) }),
  debug: (message, fields = {}) => say({ kind: 'log', level: 'debug', message, fields: plain(fields) }),
};
const producer = LIBRARIES[library]({ ...kafka, log }).producer();
const sending = new Set<Promise<void>>();

port.on('message', (message: ToThread) => {
  if (message.kind === 'close') {
    void Promise.allSettled(sending)
      .then(() => producer.close())
      .finally(() => port.close());
    return;
  }
  const send = producer
    .send(message.records)
    .then(
      () => say({ kind: 'sent', id: message.id }),
      (thrown: unknown) => {
        const { code, message: text, details } = toAppError(thrown);
        say({ kind: 'failed', id: message.id, error: { code, message: text, details } });
      },
    )
    .finally(() => sending.delete(send));
  sending.add(send);
});

/** What a message between threads can carry: no functions, no classes. */
function plain(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, value instanceof Error ? value.message : String(value)]));
}
