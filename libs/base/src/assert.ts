/** Programmer mistakes crash at once with what was expected; expected refusals are `AppError`s, never asserts. */
export function assert(condition: unknown, expectation: string): asserts condition {
  if (!condition) throw new AssertionFailed(expectation);
}

/** Exhaustiveness: the compiler proves that no case reaches it, the throw catches data that lied about its type. */
export function unreachable(value: never, where: string): never {
  throw new AssertionFailed(`${where}: unexpected ${JSON.stringify(value)}`);
}

export class AssertionFailed extends Error {
  override readonly name = 'AssertionFailed';
  constructor(expectation: string) {
    super(`assertion failed: ${expectation}`);
  }
}
