import { Notification } from '@jupyterlab/apputils';
import type { IJobMove, QuantumModel } from './model';
import { jobReason, quotaState, stateWords } from './say';
import { isFinal, type IJob } from './wire';
import { longDay, price, seconds } from './words';

const LONG_JOB_S = 60;

/** Tells what the user is not watching, and says every state of an own job to a screen reader. */
export class Notifier {
  constructor(
    private readonly _model: QuantumModel,
    private readonly _watching: () => boolean,
    private readonly _open: () => void
  ) {
    this._region = document.createElement('div');
    this._region.className = 'jq-Spoken';
    this._region.setAttribute('role', 'status');
    document.body.appendChild(this._region);
    _model.moved.connect(this._onMove, this);
    _model.changed.connect(this._onChange, this);
  }

  private _onMove(_: QuantumModel, move: IJobMove): void {
    const { before, after } = move;
    if (before?.state === after.state) {
      return;
    }
    this._region.textContent = `${after.name} on ${after.device}: ${stateWords(after)}`;
    if (this._watching()) {
      return;
    }
    if (before?.state === 'awaiting_approval' && after.state !== 'cancelled') {
      this._decided(after);
    } else if (isFinal(after.state) && after.state !== 'cancelled' && lasted(after) > LONG_JOB_S) {
      this._ended(after);
    }
  }

  private _decided(job: IJob): void {
    if (job.state === 'rejected') {
      this._tell('warning', `${job.name} on ${job.device} was not approved. ${jobReason(job)}`.trim());
    } else {
      this._tell('success', `${job.name} on ${job.device} was approved; it runs by itself.`);
    }
  }

  private _ended(job: IJob): void {
    if (job.state === 'completed') {
      const time = job.seconds ? ` in ${seconds(job.seconds)}` : '';
      const cost = job.cost ? `${price(job.cost)} credits` : 'free';
      this._tell('success', `${job.name} on ${job.device}: done${time} · ${cost}`);
    } else {
      this._tell('error', `${job.name} on ${job.device}: ${stateWords(job)}. ${jobReason(job)}`.trim());
    }
  }

  private _onChange(): void {
    const meter = this._model.meter;
    const over = meter !== null && quotaState(meter) === 'over';
    if (over && this._over === false && !this._watching()) {
      const until = meter.resets ? ` until ${longDay(meter.resets)}` : '';
      this._tell('warning', `Your quantum credits are used up${until}.`);
    }
    this._over = meter === null ? this._over : over;
  }

  private _tell(kind: 'success' | 'warning' | 'error', words: string): void {
    const actions = [{ label: 'Show', callback: this._open }];
    Notification[kind](words, { autoClose: 8000, actions });
  }

  private readonly _region: HTMLElement;
  private _over: boolean | null = null;
}

function lasted(job: IJob): number {
  const from = Date.parse(job.submitted ?? job.created);
  return (Date.parse(job.ended ?? job.changed) - from) / 1000;
}
