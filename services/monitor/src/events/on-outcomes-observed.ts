import type { Clock } from '@headrace/base/clock';
import { NAME_PATTERN } from '@headrace/base/ids';
import { OutcomesObserved, type Outcome } from '@headrace/contracts/events/v1/events';
import { causeOf, type Cause } from '@headrace/platform/kafka/cause';
import type { Quarantined, Received, Verdict } from '@headrace/platform/kafka/runner';
import { CLOCK } from '@headrace/platform/platform-module';
import { Inject, Injectable } from '@nestjs/common';
import { IngestOutcomes } from '../app/ingest-outcomes.js';
import { isOutcomeFault, readOutcome, type ObservedLabel, type OutcomeFault } from '../domain/outcomes.js';
import { Telemetry } from '../telemetry.js';

@Injectable()
export class OnOutcomesObserved {
  constructor(
    private readonly outcomes: IngestOutcomes,
    private readonly telemetry: Telemetry,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Bad outcomes are quarantined one by one; their neighbours are joined. */
  async handle(events: readonly Received<OutcomesObserved>[]): Promise<Verdict[]> {
    const nowMs = this.clock.nowMs();
    const projects = new Map<string, { labels: ObservedLabel[]; cause: Cause }>();
    const verdicts = events.map((received): Verdict => {
      const project = received.event.project || received.project || 'default';
      if (!NAME_PATTERN.test(project)) return { kind: 'dead', code: 'EVENT_MALFORMED', reason: '`project` is not a name' };
      if (received.event.outcomes.length === 0) return { kind: 'skipped', reason: 'no outcomes' };
      const quarantine: Quarantined[] = [];
      let group = projects.get(project);
      if (!group) projects.set(project, (group = { labels: [], cause: causeOf(received) }));
      group.cause = causeOf(received);
      for (const outcome of received.event.outcomes) {
        const label = readOutcome(outcome, received.timeMs, nowMs);
        if (isOutcomeFault(label)) quarantine.push(quarantined(project, outcome, label));
        else group.labels.push(label);
      }
      this.telemetry.outcomes('refused', quarantine.length);
      return { kind: 'done', quarantine };
    });
    for (const [project, { labels, cause }] of projects) await this.outcomes.ingest(project, labels, cause);
    return verdicts;
  }
}

function quarantined(project: string, outcome: Outcome, { code, reason }: OutcomeFault): Quarantined {
  const one = OutcomesObserved.toJSON({
    project,
    outcomes: [{ ...outcome, observedAt: isTime(outcome.observedAt) ? outcome.observedAt : undefined }],
  }) as { outcomes: object[] };
  // JSON has no NaN; its proto3 form is the text, and a plain null would come back as 0.
  const mended = { ...one.outcomes[0], label: Number.isFinite(outcome.label) ? outcome.label : String(outcome.label) };
  return { code, reason, value: Buffer.from(JSON.stringify({ project, outcomes: [mended] })), contentType: 'application/json' };
}

const isTime = (time: Date | undefined): boolean => time !== undefined && !Number.isNaN(time.getTime());
