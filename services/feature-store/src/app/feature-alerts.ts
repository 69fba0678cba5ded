import { Inject, Injectable } from '@nestjs/common';
import type { Clock } from '@headrace/base/clock';
import { newId } from '@headrace/base/ids';
import { AlertState, type Alert } from '@headrace/contracts/monitoring/v1/monitoring';
import { alertChanged } from '@headrace/events/catalog';
import { EventPublisher } from '@headrace/platform/kafka/publisher';
import { Log } from '@headrace/platform/log';
import { CLOCK } from '@headrace/platform/platform-module';
import { enqueue } from '@headrace/platform/postgres/outbox';
import type { FeatureAlert, Measured } from '../domain/feature-alert.js';
import { AlertStore } from '../io/alert-store.js';

/** Alerts of views: one event when one fires and one when it is resolved, in the transaction that records it. */
@Injectable()
export class FeatureAlerts {
  constructor(
    private readonly store: AlertStore,
    private readonly publisher: EventPublisher,
    private readonly log: Log,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** @param view empty = of all. */
  list(project: string, view: string): Promise<FeatureAlert[]> {
    return this.store.list(project, view);
  }

  /** Features of a view with an open alert of that kind. */
  firing(project: string, view: string, kind: FeatureAlert['kind']): Promise<string[]> {
    return this.store.firing(project, view, kind);
  }

  /** Safe to repeat: only a change of state makes an event. */
  async settle({ bad, ...measured }: Measured): Promise<void> {
    const changed = await this.store.transaction(async (tx) => {
      const open = await this.store.open(tx, { bad, ...measured });
      if (bad === (open !== undefined)) return undefined;
      const now = new Date(this.clock.nowMs());
      const alert: FeatureAlert = {
        ...measured,
        alertId: open?.alertId ?? newId(now.getTime()),
        state: bad ? 'firing' : 'resolved',
        raisedAt: open?.raisedAt ?? now,
        changedAt: now,
      };
      const [record] = this.publisher.records(alertChanged, [{ alert: toAlert(alert) }], {
        traceparent: '',
        correlationId: alert.alertId,
        causationId: open?.eventId ?? alert.alertId,
      });
      await this.store.save(tx, alert, record!.headers['ce_id']!);
      await enqueue(tx, [record!]);
      return alert;
    });
    if (changed)
      this.log.warn(`feature alert ${changed.state}`, {
        project: changed.project,
        view: changed.view,
        feature: changed.feature,
        sentence: changed.sentence,
      });
  }
}

/** On the wire a feature alert has no model; its subject is the view, or `view:feature`. */
export function toAlert(alert: FeatureAlert): Alert {
  return {
    project: alert.project,
    alertId: alert.alertId,
    model: '',
    version: 0,
    kind: alert.kind,
    state: alert.state === 'firing' ? AlertState.FIRING : AlertState.RESOLVED,
    subject: alert.feature === '' ? alert.view : `${alert.view}:${alert.feature}`,
    metric: alert.metric,
    value: alert.value,
    threshold: alert.threshold,
    samples: alert.samples,
    sentence: alert.sentence,
    raisedAt: alert.raisedAt,
    changedAt: alert.changedAt,
    requestId: '',
    examplePredictionIds: [],
    groups: [],
  };
}
