/** Moves `source[start, end)` to `target` at `at`. A Node buffer, as all socket chunks are, is moved without a view object for the range. */
export function copyBytes(source: Uint8Array, start: number, end: number, target: Uint8Array, at: number): void {
  if (source instanceof Buffer) source.copy(target, at, start, end);
  else target.set(source.subarray(start, end), at);
}
