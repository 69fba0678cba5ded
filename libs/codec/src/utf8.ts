import { isUtf8 } from 'node:buffer';

/** Strict: a malformed sequence is refused instead of replaced, and a byte order mark is text like any other. */
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text of `bytes[start, end)`, or undefined when it is not UTF-8. */
export function checkUtf8Text(bytes: Uint8Array, start: number, end: number): string | undefined {
  if (start === end) return '';
  if (isAscii(bytes, start, end)) return asciiText(bytes, start, end);
  try {
    return strictUtf8.decode(bytes.subarray(start, end));
  } catch {
    return undefined;
  }
}

/** Whether `bytes[start, end)` is UTF-8, without making its text. */
export function isUtf8Text(bytes: Uint8Array, start: number, end: number): boolean {
  return isAscii(bytes, start, end) || isUtf8(bytes.subarray(start, end));
}

/** The native one-byte conversion when the bytes are a Node buffer, as all socket chunks are. */
function asciiText(bytes: Uint8Array, start: number, end: number): string {
  const buffer = bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return buffer.toString('latin1', start, end);
}

function isAscii(bytes: Uint8Array, start: number, end: number): boolean {
  let seen = 0;
  for (let i = start; i < end; i++) seen |= bytes[i]!;
  return seen < 0x80;
}
