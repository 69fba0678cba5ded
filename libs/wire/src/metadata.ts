import { AppError } from '@headrace/base/errors';

export type MetadataValue = string | Uint8Array;

/**
 * Names and values of one call, in order, with repeats. Names are lower case; a name that ends in `-bin` has bytes, which travel as base64.
 * Names of the protocol itself (`grpc-...`, `te`, `content-type`, ...) cannot be set: the transport owns them.
 */
export class Metadata implements Iterable<readonly [string, MetadataValue]> {
  private readonly names: string[] = [];
  private readonly values: MetadataValue[] = [];

  static of(entries: Iterable<readonly [string, MetadataValue]>): Metadata {
    const metadata = new Metadata();
    for (const [name, value] of entries) metadata.add(name, value);
    return metadata;
  }

  /** From header fields that a decoder checked: drops what belongs to the protocol, and turns `-bin` values into bytes. */
  static fromFields(names: readonly string[], values: readonly string[], count: number): Metadata {
    const metadata = new Metadata();
    for (let i = 0; i < count; i++) {
      const name = names[i]!;
      if (isReserved(name)) continue;
      // Several binary values may be joined by commas, and base64 has none (PROTOCOL-HTTP2.md).
      if (!name.endsWith('-bin')) metadata.push(name, values[i]!);
      else for (const part of values[i]!.split(',')) metadata.push(name, Buffer.from(part, 'base64'));
    }
    return metadata;
  }

  get size(): number {
    return this.names.length;
  }

  add(name: string, value: MetadataValue): this {
    const lower = name.toLowerCase();
    if (!NAME.test(lower) || isReserved(lower))
      throw new AppError(
        'REQUEST_INVALID',
        `Metadata name ${JSON.stringify(name)} is not allowed; use a-z, 0-9, "_", "-", "." and no name of the protocol.`,
      );
    const binary = lower.endsWith('-bin');
    if (binary === (typeof value === 'string')) {
      throw new AppError(
        'REQUEST_INVALID',
        `Metadata ${lower} must be ${binary ? 'bytes' : 'text'}: exactly the names that end in "-bin" have bytes.`,
      );
    }
    if (typeof value === 'string' && !PRINTABLE.test(value))
      throw new AppError(
        'REQUEST_INVALID',
        `The value of metadata ${lower} has characters outside printable ASCII; send it as bytes under a "-bin" name.`,
      );
    this.push(lower, value);
    return this;
  }

  /** The first value. */
  get(name: string): MetadataValue | undefined {
    const at = this.names.indexOf(name);
    return at < 0 ? undefined : this.values[at];
  }

  /** The first value when it is text. */
  text(name: string): string | undefined {
    const value = this.get(name);
    return typeof value === 'string' ? value : undefined;
  }

  getAll(name: string): MetadataValue[] {
    return this.values.filter((_, i) => this.names[i] === name);
  }

  *[Symbol.iterator](): Iterator<readonly [string, MetadataValue]> {
    for (let i = 0; i < this.names.length; i++) yield [this.names[i]!, this.values[i]!];
  }

  private push(name: string, value: MetadataValue): void {
    this.names.push(name);
    this.values.push(value);
  }
}

/** The form of a value on the wire; base64 without padding, which every implementation must accept. */
export function encodeMetadataValue(value: MetadataValue): string {
  if (typeof value === 'string') return value;
  return Buffer.from(value.buffer, value.byteOffset, value.length).toString('base64').replace(/=+$/, '');
}

const NAME = /^[0-9a-z_.-]+$/;
const PRINTABLE = /^[ -~]*$/;
const RESERVED = new Set(['te', 'content-type', 'content-length', 'connection', 'host']);

function isReserved(name: string): boolean {
  return name.startsWith('grpc-') || name.startsWith(':') || RESERVED.has(name);
}
