import { AppError, messageOf } from '@headrace/base/errors';
import pg from 'pg';

/** SQLSTATE of what Postgres answered; undefined when the failure is not Postgres' own. https://www.postgresql.org/docs/current/errcodes-appendix.html */
export function sqlState(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined;
}

export const isUniqueViolation = (error: unknown, constraint?: string): boolean =>
  sqlState(error) === '23505' && (constraint === undefined || (error as pg.DatabaseError).constraint === constraint);

export const isForeignKeyViolation = (error: unknown): boolean => sqlState(error) === '23503';

/** Lost against a concurrent transaction (serialization failure, deadlock): the same work may succeed now. */
export const isTransient = (error: unknown): boolean => sqlState(error) === '40001' || sqlState(error) === '40P01';

/** True when the connection survived: Postgres answered, and did not hang up (severity FATAL or PANIC). */
export const leavesConnectionUsable = (error: unknown): boolean =>
  error instanceof pg.DatabaseError && error.severity !== 'FATAL' && error.severity !== 'PANIC';

/** Connection exceptions, operator intervention (restart, shutdown, pg_terminate_backend) and too many connections. */
const AWAY = /^(08...|57P0[1-5]|53300|53400)$/;
const TOO_LONG = new Map([
  ['57014', 'the statement ran longer than statement_timeout, or was cancelled'],
  ['55P03', 'a lock was not free within lock_timeout'],
  ['25P03', 'the transaction was idle for too long'],
]);
/** Socket errors of Node, and the texts of pg for which it has no code. */
const SOCKET = /^(ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN)/;
const PG_TEXTS =
  /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client has encountered a connection error|Client was closed|Cannot use a pool after|Client has already been)/;

/**
 * Postgres away -> DEPENDENCY_UNAVAILABLE, too slow -> DEADLINE_EXCEEDED, disk full -> OVERLOADED. Everything else comes
 * back as it is: constraint violations are the caller's to understand, SQL mistakes are defects.
 */
export function toPostgresError(error: unknown, doing = 'query'): unknown {
  if (error instanceof AppError) return error;
  const state = sqlState(error);
  const details = { dependency: 'postgres', ...(state === undefined ? {} : { sqlState: state }) };
  const tooLong = TOO_LONG.get(state ?? '');
  if (tooLong !== undefined) return new AppError('DEADLINE_EXCEEDED', `Postgres: ${tooLong}`, { details, cause: error });
  if (state === '53100')
    return new AppError('OVERLOADED', 'Postgres: its disk is full; free space and try again', { details, cause: error });
  const code = (error as { code?: unknown } | null)?.code;
  const socket =
    state === undefined &&
    (SOCKET.test(String(code)) || PG_TEXTS.test(messageOf(error)) || (error instanceof AggregateError && SOCKET.test(String(code))));
  if (socket || AWAY.test(state ?? '')) {
    return new AppError('DEPENDENCY_UNAVAILABLE', `Postgres cannot be reached (${doing}): ${messageOf(error) || String(code)}`, {
      details,
      cause: error,
    });
  }
  return error;
}
