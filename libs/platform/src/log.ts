import { pino, type Logger } from 'pino';

export type Fields = Readonly<Record<string, unknown>>;

/** Structured log, one fact a line, JSON on stderr. `error` fields are unfolded with stack and cause. */
export class Log {
  readonly #logger: Logger;

  private constructor(logger: Logger) {
    this.#logger = logger;
  }

  static create(service: string, level: string, instance = ''): Log {
    return new Log(
      pino(
        {
          level,
          base: { service, instance },
          timestamp: pino.stdTimeFunctions.isoTime,
          serializers: { error: pino.stdSerializers.errWithCause },
          errorKey: 'error',
        },
        pino.destination({ dest: 2, sync: true }),
      ),
    );
  }

  child(fields: Fields): Log {
    return new Log(this.#logger.child(fields));
  }

  debug(message: string, fields: Fields = {}): void {
    this.#logger.debug(fields, message);
  }

  info(message: string, fields: Fields = {}): void {
    this.#logger.info(fields, message);
  }

  warn(message: string, fields: Fields = {}): void {
    this.#logger.warn(fields, message);
  }

  error(message: string, fields: Fields = {}): void {
    this.#logger.error(fields, message);
  }
}
