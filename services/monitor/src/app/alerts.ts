import type { Clock } from '@headrace/base/clock';
import { alertChanged } from '@headrace/events/catalog';
import { EventPublisher } from '@headrace/platform/kafka/publisher';
import { CLOCK } from '@headrace/platform/platform-module';
import { enqueue } from '@headrace/platform/postgres/outbox';
import { Postgres } from '@headrace/platform/postgres/postgres';
import { Inject, Injectable } from '@nestjs/common';
import { ALERT_STEPS } from '../domain/alert-state.js';
import { alertUnknown, illegalStep } from '../errors.js';
import { listAlerts, readAlert, saveAlert, type AlertRow } from '../io/alerts.js';
import { lockModel } from '../io/models.js';
import { Telemetry } from '../telemetry.js';
import { toAlert } from './messages.js';

/** Reading alerts, and the one step that a person makes. */
@Injectable()
export class Alerts {
  constructor(
    private readonly postgres: Postgres,
    private readonly publisher: EventPublisher,
    private readonly telemetry: Telemetry,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Newest first, at most 500. @param model '' = of every model */
  list(project: string, model: string): Promise<AlertRow[]> {
    return listAlerts(this.postgres, project, model);
  }

  async get(project: string, alertId: string): Promise<AlertRow> {
    const alert = await readAlert(this.postgres, project, alertId);
    if (!alert) throw alertUnknown(alertId);
    return alert;
  }

  /** A muted alert stays open and does nothing until its subject is clean. Muting twice changes nothing. @throws AppError ALERT_STATE_ILLEGAL */
  async mute(project: string, alertId: string): Promise<AlertRow> {
    const { model } = await this.get(project, alertId);
    const { alert, changed } = await this.postgres.transaction(async (tx) => {
      await lockModel(tx, project, model);
      const current = (await readAlert(tx, project, alertId))!;
      const state = ALERT_STEPS[current.state].muted;
      if (state === null) throw illegalStep(alertId, current.state, 'muted');
      if (state === current.state) return { alert: current, changed: false };
      const next = { ...current, state, changed_ms: this.clock.nowMs() };
      const [record] = this.publisher.records(alertChanged, [{ alert: toAlert(next) }], {
        traceparent: '',
        correlationId: alertId,
        causationId: current.event_id,
      });
      await saveAlert(tx, { ...next, event_id: record!.headers['ce_id']! });
      await enqueue(tx, [record!]);
      return { alert: next, changed: true };
    });
    if (changed) this.telemetry.alertChanged(alert);
    return alert;
  }
}
