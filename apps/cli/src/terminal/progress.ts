import { stderr } from 'node:process';

/** Talk goes to stderr, data to stdout. On a terminal a running step rewrites its line; piped, each step prints once when it ends. */
export class Progress {
  readonly #begin = performance.now();
  readonly #live = stderr.isTTY === true;

  /** A finished fact. @param tookMs shown at the right. */
  line(text: string, tookMs?: number): void {
    this.#clear();
    const at = `${((performance.now() - this.#begin) / 1000).toFixed(1).padStart(6)}s`;
    stderr.write(`${at}  ${text}${tookMs === undefined ? '' : `  (${(tookMs / 1000).toFixed(2)} s)`}\n`);
  }

  /** A number that still moves; silent when piped. */
  live(text: string): void {
    if (this.#live) stderr.write(`\r\u001b[2K        ${text}`);
  }

  #clear(): void {
    if (this.#live) stderr.write('\r\u001b[2K');
  }
}
