/** Distinct blocks that one connection keeps: a client repeats a handful of methods with constant metadata. */
const ENTRIES_MAX = 8;
/** Longer blocks are decoded each time; they would cost more memory than they save work. */
const BLOCK_BYTES_MAX = 256;

interface CachedBlock<T> {
  readonly bytes: Uint8Array;
  readonly version: number;
  readonly value: T;
}

/**
 * What header blocks of one connection meant, by their bytes. An entry holds only while the decoder's table version stands (the same index
 * would mean another field after an insertion), and only blocks that did not change the table themselves may be stored.
 */
export class HeaderBlockCache<T> {
  private readonly blocks: CachedBlock<T>[] = [];
  private last = 0;
  private nextVictim = 0;

  find(bytes: Uint8Array, start: number, end: number, version: number): T | undefined {
    const { blocks } = this;
    // The block of the last call first: one comparison when a client repeats itself.
    for (let i = 0, at = this.last; i < blocks.length; i++, at = at + 1 < blocks.length ? at + 1 : 0) {
      const block = blocks[at]!;
      if (block.version === version && equal(block.bytes, bytes, start, end)) {
        this.last = at;
        return block.value;
      }
    }
    return undefined;
  }

  store(bytes: Uint8Array, start: number, end: number, version: number, value: T): void {
    if (end - start > BLOCK_BYTES_MAX) return;
    const block = { bytes: Uint8Array.prototype.slice.call(bytes, start, end), version, value };
    if (this.blocks.length < ENTRIES_MAX) this.blocks.push(block);
    else {
      this.blocks[this.nextVictim] = block;
      this.nextVictim = (this.nextVictim + 1) % ENTRIES_MAX;
    }
  }

  clear(): void {
    this.blocks.length = 0;
    this.last = 0;
  }
}

function equal(block: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  const length = block.length;
  if (length !== end - start) return false;
  for (let i = 0; i < length; i++) if (block[i] !== bytes[start + i]) return false;
  return true;
}
