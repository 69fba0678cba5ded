/** Compares dotted numbers by their parts: 10.2 is at least 9.10. */
export function atLeast(version: string, minimum: string): boolean {
  const have = version.split('.').map(Number);
  for (const [at, need] of minimum.split('.').map(Number).entries()) {
    const part = have[at] ?? 0;
    if (part !== need) return part > need;
  }
  return true;
}
