import { AppError, messageOf } from '@headrace/base/errors';
import { tooLarge } from './record-size.js';

/** Kafka's protocol errors 10 and 18. */
const TOO_LARGE = /MESSAGE_TOO_LARGE|RECORD_LIST_TOO_LARGE/;

/** What a client library threw -> AppError: a record that the broker refused for its size, or a Kafka that cannot be reached. */
export function toKafkaError(error: unknown, doing: string): AppError {
  if (error instanceof AppError) return error;
  if (
    chain(error).some(
      (e) => TOO_LARGE.test(String((e as { type?: unknown }).type)) || TOO_LARGE.test(String((e as { apiId?: unknown }).apiId)),
    )
  ) {
    return tooLarge(doing, 'the broker refused it; raise max.message.bytes of the topic or send less at once', error);
  }
  return new AppError('DEPENDENCY_UNAVAILABLE', `Kafka: ${doing} failed: ${messageOf(error)}`, {
    details: { dependency: 'kafka' },
    cause: error,
  });
}

/** The error, its causes and the members of aggregates, at most a few levels deep. */
function chain(error: unknown, depth = 0): unknown[] {
  if (error === null || typeof error !== 'object' || depth > 5) return [];
  const { cause, originalError, errors } = error as { cause?: unknown; originalError?: unknown; errors?: unknown };
  return [
    error,
    ...chain(cause, depth + 1),
    ...chain(originalError, depth + 1),
    ...(Array.isArray(errors) ? errors.flatMap((e) => chain(e, depth + 1)) : []),
  ];
}
