import type { Event, ServiceManager } from '@jupyterlab/services';
import type { IDisposable } from '@lumino/disposable';
import { Debouncer, Poll } from '@lumino/polling';
import { Signal, type ISignal } from '@lumino/signaling';
import { Api, ServiceError } from './api';
import {
  EVENT_SCHEMA,
  isFinal,
  type IApproval,
  type IDevice,
  type IEvent,
  type IJob,
  type IMe,
  type IMeter,
  type IQuota
} from './wire';

/** What the link to the service is known to be. */
export interface ILink {
  state: 'unknown' | 'online' | 'offline' | 'unconfigured';
  since: string;
  words: string;
}

/** A job went from one state to another while this tab looked on. */
export interface IJobMove {
  before: IJob | null;
  after: IJob;
}

const KEPT_JOBS = 200;

/**
 * What every part of the user interface shows: kept current by the event stream, with a slow poll of this Jupyter
 * server (never of the service) that notices what the stream has missed.
 */
export class QuantumModel implements IDisposable {
  constructor(options: { services: ServiceManager.IManager; api: Api; watched: () => boolean }) {
    this.api = options.api;
    this._watched = options.watched;
    this._settleQuota = new Debouncer(() => this._refreshQuota(), 150);
    this._settleApprovals = new Debouncer(() => this._refreshApprovals(), 150);
    this._settleDevices = new Debouncer(() => this._refreshDevices(), 400);
    options.services.events.stream.connect(this._onEmission, this);
    this._poll = new Poll({
      name: 'jupyter-quantum:status',
      factory: () => this._check(),
      frequency: { interval: 20_000, backoff: true, max: 120_000 },
      standby: 'when-hidden'
    });
    this._stop = () => options.services.events.stream.disconnect(this._onEmission, this);
  }

  readonly api: Api;
  link: ILink = { state: 'unknown', since: '', words: '' };
  /** Address of the hub's page, where people approve. */
  page = '';
  me: IMe | null = null;
  quota: IQuota | null = null;
  /** When the quota was read. */
  quotaAt: Date | null = null;
  devices: IDevice[] | null = null;
  jobs: IJob[] | null = null;
  approvals: IApproval[] = [];

  /** Something that is shown has changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** A job has moved. */
  get moved(): ISignal<this, IJobMove> {
    return this._moved;
  }

  /** Whether the caller approves for some project. */
  get isLead(): boolean {
    return Object.values(this.me?.projects ?? {}).includes('lead');
  }

  /** The budget with the least left. */
  get meter(): IMeter | null {
    return this.quota?.meters[this.quota.binding] ?? null;
  }

  /** The caller's latest circuit that costs something; "runs" are counted in it. */
  get known(): IJob | null {
    return this.jobs?.find(job => (job.price ?? 0) > 0) ?? null;
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  dispose(): void {
    if (this._disposed) {
      return;
    }
    this._disposed = true;
    this._stop();
    this._poll.dispose();
    Signal.clearData(this);
  }

  /** Read everything again. */
  async refresh(): Promise<void> {
    try {
      const [me, quota, devices, jobs] = await Promise.all([
        this.api.me(),
        this.api.quota(),
        this.api.devices(),
        this.api.jobs()
      ]);
      Object.assign(this, { me, quota, devices, quotaAt: new Date() });
      this._setJobs(jobs);
      this.approvals = this.isLead ? await this.api.approvals() : [];
      this._setLink({ state: 'online', since: '', words: '' });
    } catch (error) {
      this._failed(error);
    }
  }

  /** Cancel a job and show the answer at once. */
  async cancel(id: string): Promise<void> {
    this._putJob(await this.api.cancel(id));
  }

  private async _check(): Promise<void> {
    const status = await this.api.status();
    this.page = status.page || this.page;
    if (!status.configured) {
      const words = 'This server knows no quantum service.';
      this._setLink({ state: 'unconfigured', since: '', words });
      return;
    }
    const behind = status.seq !== null && status.seq !== this._seq;
    const stale = this.link.state !== 'online' || this.jobs === null;
    if (behind || stale) {
      this._seq = status.seq ?? this._seq;
      await this.refresh();
    } else if (this._watched() && this.jobs?.some(job => !isFinal(job.state))) {
      await this._refreshWaits();
    }
  }

  /** Places and estimated starts change without an event; they matter only to somebody who looks at them. */
  private async _refreshWaits(): Promise<void> {
    const [jobs, devices] = await Promise.all([this.api.jobs(), this.api.devices()]);
    this.devices = devices;
    this._setJobs(jobs);
    this._changed.emit();
  }

  private _onEmission(_: unknown, emission: Event.Emission): void {
    if (emission.schema_id === EVENT_SCHEMA) {
      this._onEvent(emission as unknown as IEvent);
    }
  }

  private _onEvent(event: IEvent): void {
    if (event.type === 'link.changed') {
      this._onLink(event);
      return;
    }
    this._seq = event.seq;
    switch (event.type) {
      case 'job.moved':
        void this._onJob(event);
        break;
      case 'device.changed':
        this._later(this._settleDevices);
        break;
      case 'approval.changed':
        this._later(this._settleApprovals);
        break;
      case 'quota.changed':
        this._onQuota(event);
        break;
      default:
        break;
    }
  }

  private _onLink(event: IEvent): void {
    if (event.data?.online) {
      void this.refresh();
    } else {
      const since = String(event.data?.since ?? event.time ?? '');
      this._setLink({ state: 'offline', since, words: '' });
    }
  }

  /** The event may carry the quota of the project that is shown; of another one it is no news here. */
  private _onQuota(event: IEvent): void {
    const quota = event.data as Partial<IQuota> | undefined;
    if (!Array.isArray(quota?.meters)) {
      this._later(this._settleQuota);
    } else if (this.quota === null || quota.project === this.quota.project) {
      this.quota = quota as IQuota;
      this.quotaAt = new Date();
      this._changed.emit();
    }
  }

  /** The event may carry the job; where it does not, ask for it. */
  private async _onJob(event: IEvent): Promise<void> {
    try {
      const job = jobIn(event.data) ?? (await this.api.job(event.job ?? ''));
      if (this.me === null || job.owner === this.me.name) {
        this._putJob(job);
      }
    } catch {
      // A colleague's job that a lead may not read one by one: the list of approvals shows it where it matters.
    }
    if (this.isLead) {
      this._later(this._settleApprovals);
    }
  }

  private _later(work: Debouncer<void>): void {
    work.invoke().catch(error => this._failed(error));
  }

  private async _refreshQuota(): Promise<void> {
    this.quota = await this.api.quota();
    this.quotaAt = new Date();
    this._changed.emit();
  }

  private async _refreshDevices(): Promise<void> {
    this.devices = await this.api.devices();
    this._changed.emit();
  }

  private async _refreshApprovals(): Promise<void> {
    this.approvals = this.isLead ? await this.api.approvals() : [];
    this._changed.emit();
  }

  private _setJobs(jobs: IJob[]): void {
    const before = new Map((this.jobs ?? []).map(job => [job.id, job]));
    this.jobs = jobs;
    for (const after of jobs) {
      const old = before.get(after.id);
      if (old && old.version < after.version) {
        this._moved.emit({ before: old, after });
      }
    }
  }

  /** Put a job in its place; an older version than the one shown is not news. */
  private _putJob(after: IJob): void {
    const jobs = this.jobs ?? [];
    const before = jobs.find(job => job.id === after.id) ?? null;
    if (before && before.version > after.version) {
      return;
    }
    this.jobs = before
      ? jobs.map(job => (job.id === after.id ? after : job))
      : [after, ...jobs].slice(0, KEPT_JOBS);
    this._moved.emit({ before, after });
    this._changed.emit();
    if (isFinal(after.state)) {
      this._later(this._settleDevices);
    }
  }

  private _failed(error: unknown): void {
    const words = error instanceof Error ? error.message : String(error);
    if (error instanceof ServiceError && !error.offline) {
      this._setLink({ ...this.link, words });
      return;
    }
    const since =
      this.link.state === 'offline' && this.link.since
        ? this.link.since
        : new Date().toISOString();
    this._setLink({ state: 'offline', since, words });
  }

  private _setLink(link: ILink): void {
    this.link = link;
    this._changed.emit();
  }

  private readonly _changed = new Signal<this, void>(this);
  private readonly _moved = new Signal<this, IJobMove>(this);
  private readonly _poll: Poll;
  private readonly _settleQuota: Debouncer<void>;
  private readonly _settleApprovals: Debouncer<void>;
  private readonly _settleDevices: Debouncer<void>;
  private readonly _stop: () => void;
  private readonly _watched: () => boolean;
  private _seq: number | null = null;
  private _disposed = false;
}

/** The job inside an event's data, plain or under the name `job`. */
function jobIn(data: IEvent['data']): IJob | null {
  const found = (data?.job ?? data) as Partial<IJob> | undefined;
  return found &&
    typeof found.id === 'string' &&
    typeof found.owner === 'string' &&
    typeof found.device === 'string' &&
    typeof found.version === 'number'
    ? (found as IJob)
    : null;
}
