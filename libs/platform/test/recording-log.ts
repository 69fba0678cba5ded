/** Keeps what was logged, for tests that assert on facts. */
export class RecordingLog {
  readonly lines: { level: string; message: string; fields: Readonly<Record<string, unknown>> }[] = [];

  debug(message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.lines.push({ level: 'debug', message, fields });
  }
  info(message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.lines.push({ level: 'info', message, fields });
  }
  warn(message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.lines.push({ level: 'warn', message, fields });
  }
  error(message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.lines.push({ level: 'error', message, fields });
  }

  count(message: string): number {
    return this.lines.filter((line) => line.message.includes(message)).length;
  }
}
