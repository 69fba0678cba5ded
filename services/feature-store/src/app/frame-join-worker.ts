import { Inject, Injectable } from '@nestjs/common';
import type { Clock } from '@headrace/base/clock';
import { sleep } from '@headrace/base/clock';
import { toAppError } from '@headrace/base/errors';
import { newId } from '@headrace/base/ids';
import { Log } from '@headrace/platform/log';
import { CLOCK } from '@headrace/platform/platform-module';
import type { Background } from '@headrace/platform/service';
import type { JoinProgress, JoinRecord } from '../domain/join-state.js';
import { planFrame } from '../domain/frame-plan.js';
import { FrameFiles } from '../io/frame-files.js';
import { FrameJoin } from '../io/frame-join.js';
import { openFrame } from '../io/frame-reader.js';
import { JoinStore, LEASE_MS } from '../io/join-store.js';
import { TrainingSetStore } from '../io/training-set-store.js';
import { FeatureTelemetry } from '../telemetry.js';
import { FrameJoins } from './frame-joins.js';
import { ViewCatalogue } from './view-catalogue.js';

/** Also how soon a cancelled join notices, and how old its progress may be. */
const HEARTBEAT_MS = 500;
/** For joins of other processes, and those whose process died. */
const POLL_MS = 2_000;
/** A frame is kept this long after its last join, so that a failed one can be restarted. */
const FRAME_KEPT_MS = 24 * 3_600_000;
const SWEEP_MS = 3_600_000;

type Progress = { -readonly [K in keyof JoinProgress]: JoinProgress[K] };

/** Everything that one join needs; five arguments are enough for a constructor. */
@Injectable()
export class FrameJoinRunner {
  constructor(
    private readonly catalogue: ViewCatalogue,
    private readonly frames: FrameFiles,
    private readonly join: FrameJoin,
    private readonly trainingSets: TrainingSetStore,
    private readonly telemetry: FeatureTelemetry,
  ) {}

  /** @returns the hash of the snapshot. */
  async run({ project, frame: name, request }: JoinRecord, progress: Progress, signal: AbortSignal): Promise<string> {
    const startedAt = performance.now();
    const views = await this.catalogue.newest();
    const { path, format } = await this.frames.open(name);
    const frame = await openFrame(path, format);
    progress.rows = frame.rows;
    const plan = planFrame(frame.columns, request, (view) => views.get(project, view));
    const steps = {
      read: (rows: number): void => void (progress.rowsRead = rows),
      written: (rows: number): void => void (progress.rowsWritten = rows),
    };
    const { hash, rows, bytes } = await this.join.run(frame, plan, steps, signal);
    progress.rowsWritten = rows;
    const record = { hash, rows, bytes, columns: plan.columns.map((c) => c.name), query: plan.sql, viewHashes: plan.viewHashes };
    const asked = { project, frame: name, ...request };
    await this.trainingSets.save(asked, record);
    this.telemetry.trainingSet(rows, (performance.now() - startedAt) / 1000);
    return hash;
  }

  sweepFrames(keep: ReadonlySet<string>, nowMs: number): Promise<number> {
    return this.frames.sweep(keep, FRAME_KEPT_MS, nowMs);
  }
}

/** Runs the joins that wait, one at a time in each process. A join of a process that died is taken over when its lease ends. */
@Injectable()
export class FrameJoinWorker implements Background {
  readonly name = 'frame-joins';
  readonly #owner = newId();
  readonly #stopping = new AbortController();
  #wake = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #sweptMs = -Infinity;

  constructor(
    private readonly joins: JoinStore,
    private readonly runner: FrameJoinRunner,
    private readonly doors: FrameJoins,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  start(): Promise<void> {
    this.doors.onWaiting(() => this.#wake.abort());
    this.#running = this.#follow();
    return Promise.resolve();
  }

  /** The join in hand goes back to the queue. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the service is stopping'));
    this.#wake.abort();
    await this.#running;
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      this.#wake = new AbortController();
      try {
        await this.#keepHouse();
        // Never claim what will not be worked on.
        for (let more = true; more && !signal.aborted;) more = await this.#workOnNext();
      } catch (error) {
        this.log.warn('point-in-time joins wait for Postgres', { error });
      }
      if (!signal.aborted) await sleep(POLL_MS, this.#wake.signal).catch(() => undefined); // woken, not failed
    }
  }

  async #workOnNext(): Promise<boolean> {
    const join = await this.joins.claim(this.#owner);
    if (join) await this.#work(join);
    return join !== undefined;
  }

  async #work(join: JoinRecord): Promise<void> {
    const progress = { rows: 0, rowsRead: 0, rowsWritten: 0 };
    const ending = new AbortController();
    const signal = AbortSignal.any([ending.signal, this.#stopping.signal]);
    const beating = this.#beat(join.id, progress, ending);
    const startedAt = performance.now();
    try {
      const trainingSet = await this.runner.run(join, progress, signal);
      await this.joins.end(join.id, this.#owner, 'succeed', { trainingSet, ...progress });
      const seconds = (performance.now() - startedAt) / 1000;
      this.log.info('point-in-time join done', { project: join.project, join: join.id, rows: progress.rowsWritten, trainingSet, seconds });
    } catch (thrown) {
      const event = this.#stopping.signal.aborted ? 'release' : ending.signal.aborted ? 'cancel' : 'fail';
      const error = toAppError(thrown);
      await this.joins.end(
        join.id,
        this.#owner,
        event,
        event === 'fail' ? { errorCode: error.code, error: error.message, ...progress } : progress,
      );
      this.log.warn('point-in-time join ended without a snapshot', { project: join.project, join: join.id, event, error: thrown });
    } finally {
      ending.abort();
      await beating;
    }
  }

  /** Says that the join lives, and hears that it shall not. */
  async #beat(id: string, progress: Progress, ending: AbortController): Promise<void> {
    let heardMs = this.clock.nowMs();
    while (!ending.signal.aborted) {
      try {
        if (!(await this.joins.heartbeat(id, this.#owner, progress)) && !this.#stopping.signal.aborted)
          ending.abort(new Error('the join was cancelled, or another process took it over'));
        heardMs = this.clock.nowMs();
      } catch (error) {
        if (this.clock.nowMs() - heardMs > LEASE_MS) ending.abort(error);
      }
      await sleep(HEARTBEAT_MS, ending.signal).catch(() => undefined); // ended, not failed
    }
  }

  async #keepHouse(): Promise<void> {
    await this.joins.failLost();
    const nowMs = this.clock.nowMs();
    if (nowMs - this.#sweptMs < SWEEP_MS) return;
    this.#sweptMs = nowMs;
    const removed = await this.runner.sweepFrames(await this.joins.framesInUse(nowMs - FRAME_KEPT_MS), nowMs);
    if (removed > 0) this.log.info('old entity frames removed', { removed });
  }
}
