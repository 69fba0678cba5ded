import type { Clock } from '@headrace/base/clock';
import { newId } from '@headrace/base/ids';
import { alertChanged, trainingRequested } from '@headrace/events/catalog';
import type { OutgoingRecord } from '@headrace/events/envelope';
import type { Cause } from '@headrace/platform/kafka/cause';
import { EventPublisher } from '@headrace/platform/kafka/publisher';
import { CLOCK } from '@headrace/platform/platform-module';
import { enqueue } from '@headrace/platform/postgres/outbox';
import type { Tx } from '@headrace/platform/postgres/postgres';
import { Inject, Injectable } from '@nestjs/common';
import { planAlert, type AlertStep, type Judged } from '../domain/alert-plan.js';
import { ALERT_STEPS, isOpen, type AlertState } from '../domain/alert-state.js';
import type { AlertKind, Finding } from '../domain/finding.js';
import { decideRetrain } from '../domain/retrain-policy.js';
import { standingOf } from '../domain/standing.js';
import { openAlerts, saveAlert, type AlertRow } from '../io/alerts.js';
import type { ModelRow } from '../io/models.js';
import { examplesOf } from '../io/predictions.js';
import { retrainFacts, saveRequested } from '../io/retrainings.js';
import { readWatches, type WatchRow } from '../io/watches.js';
import { Telemetry } from '../telemetry.js';
import type { Described } from './catalogue.js';
import { toAlert } from './messages.js';

const EXAMPLES = 5;

/** Moves the alerts of a model after a judgement, and asks for the retraining that its policy wants. Runs under the model's lock. */
@Injectable()
export class RaiseAlerts {
  constructor(
    private readonly publisher: EventPublisher,
    private readonly telemetry: Telemetry,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** @param described the version just judged; undefined when only standings are looked at again. @returns the alerts that changed */
  async step(
    tx: Tx,
    model: ModelRow,
    described: Described | undefined,
    findings: readonly Finding[],
    cause: Cause | undefined,
  ): Promise<AlertRow[]> {
    const watches = await readWatches(tx, model.project, model.model);
    const story = new AlertStory(await openAlerts(tx, model.project, model.model), this.publisher, this.clock.nowMs(), cause);
    for (const finding of findings) {
      const judged = {
        version: described!.version,
        verdict: finding.verdict,
        standing: standingIn(watches, described!.version, finding, model),
      };
      await this.#apply(tx, model, story, finding.kind, finding.subject, judged, { finding, described: described! });
    }
    for (const { version, kind, subject } of watches) {
      if (!story.open(kind, subject)) continue;
      await this.#apply(
        tx,
        model,
        story,
        kind,
        subject,
        { version, verdict: undefined, standing: standingIn(watches, version, { kind, subject }, model) },
        undefined,
      );
    }
    for (const alert of story.firing()) {
      if (standingIn(watches, alert.version, alert, model) === 'persisted') await this.#act(tx, model, story, alert);
    }
    for (const row of story.changed()) await saveAlert(tx, row);
    await enqueue(tx, story.records);
    return story.changed();
  }

  async #apply(
    tx: Tx,
    model: ModelRow,
    story: AlertStory,
    kind: AlertKind,
    subject: string,
    judged: Judged,
    seen: Seen | undefined,
  ): Promise<void> {
    const open = story.open(kind, subject);
    const plan: AlertStep = planAlert(open, judged, { champion: model.champion_version, serving: model.serving_version });
    if (plan.kind === 'none') return;
    const numbers = seen && (plan.kind === 'raise' || plan.refresh) ? await numbersOf(tx, model, seen) : undefined;
    if (plan.kind === 'change') story.change({ ...open!, ...numbers }, plan.state);
    else story.raise({ project: model.project, model: model.model, ...numbers! }, plan.state);
  }

  /** A firing alert asks for a training at once, or later when something is in the way now. */
  async #act(tx: Tx, model: ModelRow, story: AlertStory, alert: AlertRow): Promise<void> {
    const { project, model: name, spec } = model;
    const nowMs = this.clock.nowMs();
    const decision = decideRetrain(spec.retrain, alert, await retrainFacts(tx, project, name, nowMs), nowMs);
    if (decision.kind === 'wait') this.telemetry.retrainingWaits(alert.alert_id, decision.reason);
    if (decision.kind !== 'ask') return;
    const requestId = `alert-${alert.alert_id}`;
    await saveRequested(tx, { project, model: name, requestId, reason: 'alert', requestedMs: nowMs });
    story.act(alert, requestId, decision.mitigation);
  }
}

interface Seen {
  readonly finding: Finding;
  readonly described: Described;
}

type Numbers = Pick<
  AlertRow,
  'version' | 'kind' | 'subject' | 'metric' | 'value' | 'threshold' | 'samples' | 'sentence' | 'groups' | 'examples'
>;

async function numbersOf(tx: Tx, { spec }: ModelRow, { finding, described }: Seen): Promise<Numbers> {
  const { kind, subject, metric, value, threshold, samples, sentence, groups, evidence, span } = finding;
  const where = {
    versionId: described.id,
    attributeAt: described.attributes.indexOf(subject),
    positive: spec.task === 'regression' ? spec.threshold : spec.label.positive,
    isRegression: spec.task === 'regression',
    span,
    limit: EXAMPLES,
  };
  const examples = evidence ? await examplesOf(tx, where, evidence) : [];
  return { version: described.version, kind, subject, metric, value, threshold, samples, sentence, groups: [...groups], examples };
}

function standingIn(
  watches: readonly WatchRow[],
  version: number,
  { kind, subject }: { readonly kind: AlertKind; readonly subject: string },
  { spec }: ModelRow,
): Judged['standing'] {
  const watch = watches.find((w) => w.version === version && w.kind === kind && w.subject === subject);
  return watch ? standingOf(watch.history, spec.monitor.persistence) : 'open';
}

/** The open alerts of a model while they are moved, and the events that say so; each event names the one before it as its cause. */
class AlertStory {
  readonly records: OutgoingRecord[] = [];
  readonly #alerts: Map<string, AlertRow>;
  readonly #changed = new Map<string, AlertRow>();

  constructor(
    open: readonly AlertRow[],
    private readonly publisher: EventPublisher,
    private readonly nowMs: number,
    private readonly cause: Cause | undefined,
  ) {
    this.#alerts = new Map(open.map((alert) => [keyOf(alert), alert]));
  }

  open(kind: AlertKind, subject: string): AlertRow | undefined {
    const alert = this.#alerts.get(keyOf({ kind, subject }));
    return alert && isOpen(alert.state) ? alert : undefined;
  }

  firing(): AlertRow[] {
    return [...this.#alerts.values()].filter((alert) => alert.state === 'firing');
  }

  changed(): AlertRow[] {
    return [...this.#changed.values()];
  }

  raise(
    row: Omit<AlertRow, 'alert_id' | 'state' | 'request_id' | 'event_id' | 'raised_ms' | 'changed_ms'>,
    state: 'suspected' | 'firing',
  ): void {
    const alert: AlertRow = {
      ...row,
      alert_id: newId(this.nowMs),
      state,
      request_id: '',
      event_id: this.cause?.causationId ?? '',
      raised_ms: this.nowMs,
      changed_ms: this.nowMs,
    };
    this.#say(alert);
  }

  /** New numbers without a new state are kept, not told. */
  change(row: AlertRow, state: AlertState): void {
    const alert = { ...row, state, changed_ms: this.nowMs };
    if (state === row.state) this.#keep(alert);
    else this.#say(alert);
  }

  act(alert: AlertRow, requestId: string, mitigation: { readonly method: string; readonly attribute: string } | undefined): void {
    const { project, model, alert_id: alertId } = alert;
    const [record] = this.publisher.records(
      trainingRequested,
      [{ project, model, reason: 'alert', requestId, alertId, mitigation }],
      this.#causeOf(alert),
    );
    this.records.push(record!);
    this.#say({
      ...alert,
      state: ALERT_STEPS[alert.state].acted!,
      request_id: requestId,
      changed_ms: this.nowMs,
      event_id: record!.headers['ce_id']!,
    });
  }

  #say(alert: AlertRow): void {
    const [record] = this.publisher.records(alertChanged, [{ alert: toAlert(alert) }], this.#causeOf(alert));
    this.records.push(record!);
    this.#keep({ ...alert, event_id: record!.headers['ce_id']! });
  }

  #keep(alert: AlertRow): void {
    this.#alerts.set(keyOf(alert), alert);
    this.#changed.set(alert.alert_id, alert);
  }

  /** The alert's id is the thread of the whole chain, up to the promotion. */
  #causeOf({ alert_id, event_id }: AlertRow): Cause {
    return { traceparent: this.cause?.traceparent ?? '', correlationId: alert_id, causationId: event_id };
  }
}

const keyOf = ({ kind, subject }: { readonly kind: AlertKind; readonly subject: string }): string => `${kind}/${subject}`;
