import { icons } from './icons';
import type { LabIcon } from '@jupyterlab/ui-components';
import type { ILink, QuantumModel } from './model';
import type { IApproval, IDevice, IJob, IMeter } from './wire';
import {
  clock,
  day,
  limit,
  left,
  longDay,
  moment,
  plural,
  price,
  seconds
} from './words';

/** The five status colours of the UX guide; only icons wear them. */
export type Tone = 'ok' | 'attention' | 'error' | 'active' | 'off';

/** An icon with its tone, and the words that always go with it. */
export interface ISaid {
  icon: LabIcon;
  tone: Tone;
  words: string;
}

export type QuotaState = 'plenty' | 'near' | 'over' | 'offline';

/** What the status bar shows and what a screen reader says. */
export interface IQuotaSaid {
  state: QuotaState;
  icon: LabIcon;
  text: string;
  spoken: string;
}

const SOFT_LIMIT = 0.8;
const STALE_HOURS = 24;
const SNAPSHOT_HOURS = 30 * 24;
const STATES: Partial<Record<IJob['state'], string>> = {
  draft: 'being checked',
  validated: 'being checked',
  awaiting_approval: 'awaiting approval',
  queued: 'waiting',
  completed: 'done',
  rejected: 'refused'
};

/** The sentence while the service does not answer. */
export function offlineWords(link: ILink): string {
  if (link.state === 'unconfigured') {
    return link.words;
  }
  const since = link.since ? ` since ${moment(link.since)}` : '';
  return `Quantum service unreachable${since}. Jobs continue there; this view catches up by itself.`;
}

/** `12.40 of 50 credits left`. */
export function leftWords(meter: IMeter): string {
  return `${left(Math.max(0, meter.available))} of ${limit(meter.limit)} credits left`;
}

/** Where a budget stands: used up, past the soft limit of 80 %, or neither. */
export function quotaState(meter: IMeter): 'plenty' | 'near' | 'over' {
  if (meter.available <= 0) {
    return 'over';
  }
  return meter.limit - meter.available >= SOFT_LIMIT * meter.limit
    ? 'near'
    : 'plenty';
}

/** What the status bar says of the quota, online or not. */
export function quotaSaid(model: QuantumModel): IQuotaSaid {
  const meter = model.meter;
  const link = model.link;
  if (link.state === 'offline' || link.state === 'unconfigured') {
    return offlineQuota(model, meter);
  }
  if (meter === null) {
    const words = link.words || 'Asking the quantum service …';
    return { state: 'plenty', icon: icons.plenty, text: '– cr', spoken: words };
  }
  return quotaWith(meter, runsOf(model, meter));
}

function offlineQuota(model: QuantumModel, meter: IMeter | null): IQuotaSaid {
  const base = { state: 'offline' as const, icon: icons.offline };
  if (meter === null || model.quotaAt === null) {
    const what = model.link.state === 'offline' ? 'offline' : 'not set up';
    return { ...base, text: `quantum ${what}`, spoken: offlineWords(model.link) };
  }
  const at = clock(model.quotaAt);
  const value = left(Math.max(0, meter.available));
  return {
    ...base,
    text: `${value} cr at ${at}`,
    spoken: `Offline; value of ${at}. ${offlineWords(model.link)}`
  };
}

function quotaWith(meter: IMeter, runs: IRuns | null): IQuotaSaid {
  const state = quotaState(meter);
  if (state === 'over') {
    const until = meter.resets ? day(meter.resets) : null;
    return {
      state,
      icon: icons.error,
      text: until ? `0 cr · until ${until}` : '0 cr',
      spoken: meter.resets ? `Used up until ${longDay(meter.resets)}` : 'Used up'
    };
  }
  const text = `${left(meter.available)} cr`;
  const rest = runs ? `, ${plural(runs.count, 'run')} of ${runs.name}` : '';
  const start = state === 'near' ? 'Nearly used up: ' : '';
  return {
    state,
    icon: state === 'near' ? icons.near : icons.plenty,
    text: runs ? `${text} · ${plural(runs.count, 'run')}` : text,
    spoken: `${start}${leftWords(meter)}${rest}`
  };
}

interface IRuns {
  count: number;
  name: string;
}

function runsOf(model: QuantumModel, meter: IMeter): IRuns | null {
  const job = model.known;
  return job === null
    ? null
    : { count: Math.floor(meter.available / (job.price ?? 1)), name: job.name };
}

/** What a device's row says. */
export function deviceSaid(device: IDevice, now = Date.now()): ISaid {
  if (device.state !== 'ready') {
    const until = device.state_until ? ` until ${moment(device.state_until)}` : '';
    return { icon: icons.drained, tone: 'off', words: `${device.state}${until}` };
  }
  const at = device.calibration.at;
  const hours = at ? (now - Date.parse(at)) / 3_600_000 : 0;
  // An emulator's calibration may be a snapshot kept on purpose; its age is no warning then.
  const snapshot = device.label.startsWith('emulat') && hours > SNAPSHOT_HOURS;
  if (hours > STALE_HOURS && !snapshot) {
    const age = hours < 72 ? `${Math.round(hours)} h` : seconds(hours * 3600);
    return { icon: icons.near, tone: 'attention', words: `calibration ${age} old` };
  }
  const wait = device.wait.p50;
  return {
    icon: icons.ok,
    tone: 'ok',
    words: wait < 1 ? 'now' : `about ${seconds(wait)}`
  };
}

/** The longer text of a device: size, prices, why it takes nothing. */
export function deviceDetail(device: IDevice): string {
  const { per_task, per_shot, per_second } = device.price;
  const free = !per_task && !per_shot && !per_second;
  const thousand = per_task + 1000 * per_shot;
  const cost = free ? 'free' : `from ${price(thousand)} credits for 1\u202f000 shots`;
  const lines = [`${device.label}, ${plural(device.num_qubits, 'qubit')}, ${cost}`];
  if (device.state_reason) {
    lines.push(device.state_reason);
  }
  if (device.wait.words) {
    lines.push(device.wait.words);
  }
  return lines.join('\n');
}

/** The job's state as a person reads it. A rule refuses, a person rejects. */
export function stateWords(job: IJob): string {
  if (job.state === 'rejected' && job.error?.code === 'approval.rejected') {
    return 'rejected';
  }
  return STATES[job.state] ?? job.state;
}

/** What a job's row says. */
export function jobSaid(job: IJob): ISaid {
  switch (job.state) {
    case 'awaiting_approval':
      return said('approval', 'attention', `awaiting approval · ${amount(job.price)}`);
    case 'queued':
      return said('waiting', 'active', queuedWords(job));
    case 'running':
      return said('running', 'active', job.started ? `running since ${moment(job.started)}` : 'running');
    case 'completed':
      return said('ok', 'ok', doneWords(job));
    case 'failed':
      return said('error', 'error', `failed${job.cost ? ` · ${amount(job.cost)}` : ' · not charged'}`);
    case 'rejected':
      return said('error', 'error', stateWords(job));
    case 'cancelled':
      return said('cancelled', 'off', `cancelled${job.cost ? ` · ${amount(job.cost)}` : ''}`);
    case 'archived':
      return said('drained', 'off', 'archived');
    default:
      return said('waiting', 'active', stateWords(job));
  }
}

function said(icon: keyof typeof icons, tone: Tone, words: string): ISaid {
  return { icon: icons[icon], tone, words };
}

function amount(micro: number | null | undefined): string {
  return micro ? `${price(micro)}\u00a0credits` : 'free';
}

function queuedWords(job: IJob): string {
  const wait = job.wait;
  if (!wait) {
    return 'waiting';
  }
  const start = wait.p50 < 1 ? 'starts now' : `about ${seconds(wait.p50)}`;
  return wait.place ? `place ${wait.place}, ${start}` : start;
}

function doneWords(job: IJob): string {
  const time = job.seconds === null || job.seconds === undefined ? '' : ` in ${seconds(job.seconds)}`;
  return `done${time} · ${amount(job.cost)}`;
}

/** Why a job waits or ended badly, in the service's words; empty where there is nothing to say. */
export function jobReason(job: IJob): string {
  if (job.error) {
    return job.error.hint ? `${job.error.message} ${job.error.hint}` : job.error.message;
  }
  return job.state === 'queued' ? (job.wait?.words ?? '') : '';
}

/** `6.10 credits, at most 6.58`. */
export function approvalPrice(approval: IApproval): string {
  const { price: estimate, price_at_most: most } = approval.job;
  return most && most !== estimate ? `${amount(estimate)}, at most ${price(most)}` : amount(estimate);
}

/** `expires in 3 h 40 min`. */
export function approvalExpiry(approval: IApproval, now = Date.now()): string {
  const rest = (Date.parse(approval.expires) - now) / 1000;
  return rest > 0 ? `expires in ${seconds(rest)}` : 'expired';
}
