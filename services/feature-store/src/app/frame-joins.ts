import type { Readable } from 'node:stream';
import { Inject, Injectable } from '@nestjs/common';
import type { Clock } from '@headrace/base/clock';
import { newId } from '@headrace/base/ids';
import { featureReference } from '@headrace/definitions/reference';
import { CLOCK } from '@headrace/platform/platform-module';
import type { FrameRequest } from '../domain/frame-plan.js';
import { planFrame } from '../domain/frame-plan.js';
import type { FrameFormat } from '../domain/frame-values.js';
import { JOIN_TRANSITIONS, type JoinRecord } from '../domain/join-state.js';
import { joinStateIllegal, joinUnknown, requestInvalid } from '../errors.js';
import { FrameFiles } from '../io/frame-files.js';
import { openFrame } from '../io/frame-reader.js';
import { JoinStore } from '../io/join-store.js';
import { ViewCatalogue } from './view-catalogue.js';

/** Where a frame comes from. */
export type FrameSource =
  | { readonly kind: 'frame'; readonly name: string }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'rows'; readonly rows: readonly object[] };

export const DEFAULT_TIME_COLUMN = 'event_timestamp';

/** Point-in-time joins as callers see them: asked for, looked at, cancelled, restarted. The work is FrameJoinWorker's. */
@Injectable()
export class FrameJoins {
  /** Told when a join waits. */
  #wake: () => void = () => undefined;

  constructor(
    private readonly catalogue: ViewCatalogue,
    private readonly frames: FrameFiles,
    private readonly joins: JoinStore,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Brings a frame here. @throws AppError MESSAGE_TOO_LARGE */
  upload(source: Readable, format: FrameFormat): Promise<{ frame: string; bytes: number }> {
    return this.frames.store(source, format);
  }

  onWaiting(wake: () => void): void {
    this.#wake = wake;
  }

  /** The frame is looked at before the join is queued: what can be refused is refused here. */
  async start(project: string, source: FrameSource, request: FrameRequest): Promise<JoinRecord> {
    const { features } = request;
    if (features.length === 0) throw requestInvalid('`features` is empty; name at least one `view:feature`');
    const bad = features.find((reference) => !featureReference.safeParse(reference).success);
    if (bad !== undefined) throw requestInvalid(`${JSON.stringify(bad)} is no feature reference; write \`view:feature\``);
    const views = await this.catalogue.newest();
    const frame = await this.#bring(source);
    const { path, format } = await this.frames.open(frame);
    planFrame((await openFrame(path, format)).columns, request, (view) => views.get(project, view));
    const join = await this.joins.insert(newId(this.clock.nowMs()), project, request, frame);
    this.#wake();
    return join;
  }

  async find(project: string, id: string): Promise<JoinRecord> {
    const join = await this.joins.find(project, id);
    if (!join) throw joinUnknown(project, id);
    return join;
  }

  list(project: string): Promise<JoinRecord[]> {
    return this.joins.list(project);
  }

  /** A running join stops at its next heartbeat. */
  async cancel(project: string, id: string): Promise<JoinRecord> {
    const { state } = await this.find(project, id);
    if (JOIN_TRANSITIONS[state].cancel === undefined) throw joinStateIllegal(id, state, 'cancelled');
    await this.joins.cancel(project, id);
    this.#wake();
    return this.find(project, id);
  }

  async restart(project: string, id: string): Promise<JoinRecord> {
    const { state, frame } = await this.find(project, id);
    if (JOIN_TRANSITIONS[state].restart === undefined) throw joinStateIllegal(id, state, 'restarted');
    await this.frames.open(frame);
    await this.joins.restart(project, id);
    this.#wake();
    return this.find(project, id);
  }

  async #bring(source: FrameSource): Promise<string> {
    switch (source.kind) {
      case 'frame':
        return source.name;
      case 'file':
        return this.frames.take(source.path);
      case 'rows':
        return (await this.frames.rows(source.rows)).frame;
    }
  }
}
