/**
 * Where each answered row went: answered = logged + sampledOut + dropped + pending, always. After a graceful stop pending is
 * 0, so that nothing is unexplained; the metrics and each batch on Kafka carry the account.
 */
export class LogAccount {
  answered = 0;
  logged = 0;
  sampledOut = 0;
  dropped = 0;

  get pending(): number {
    return this.answered - this.logged - this.sampledOut - this.dropped;
  }

  answer(rows: number): void {
    this.answered += rows;
  }

  sampleOut(rows: number): void {
    this.sampledOut += rows;
  }

  log(rows: number): void {
    this.logged += rows;
  }

  drop(rows: number): void {
    this.dropped += rows;
  }
}
