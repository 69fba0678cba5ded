import { messageOf } from '@headrace/base/errors';
import type { Log } from './log.js';

/** Pools and clients that a service opened; closed in reverse order, after everything that uses them has stopped. */
export class Resources {
  readonly #opened: { readonly name: string; close(): Promise<void> }[] = [];

  /** Remembers `resource` and returns it. */
  add<T extends { close(): Promise<void> }>(name: string, resource: T): T {
    this.#opened.push({ name, close: () => resource.close() });
    return resource;
  }

  async closeAll(log: Pick<Log, 'warn'>): Promise<void> {
    for (const { name, close } of this.#opened.splice(0).reverse()) {
      await close().catch((error: unknown) => log.warn('resource did not close cleanly', { name, error: messageOf(error) }));
    }
  }
}
