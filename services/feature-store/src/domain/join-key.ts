const KEY_LENGTH_MAX = 256;

/** What is wrong with a join key's value, for a sentence that begins with its name. */
export function keyFault(value: string): string | undefined {
  if (value === '') return 'is empty';
  if (value.length > KEY_LENGTH_MAX) return `has ${value.length} characters; at most ${KEY_LENGTH_MAX} are allowed`;
  if (value.includes('\0')) return 'contains a NUL character';
  return value.isWellFormed() ? undefined : 'is not well-formed Unicode';
}
