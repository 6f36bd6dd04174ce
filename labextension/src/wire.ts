/**
 * The shapes of the service's answers that Lab reads (a part of its OpenAPI document). Amounts are micro-credits, times
 * ISO 8601 in UTC, durations seconds. Anything may be absent that the document does not require.
 */

export type JobState =
  | 'draft'
  | 'validated'
  | 'awaiting_approval'
  | 'queued'
  | 'scheduled'
  | 'running'
  | 'completed'
  | 'failed'
  | 'cancelled'
  | 'rejected'
  | 'archived';

export interface IWait {
  p50: number;
  p90: number;
  place?: number | null;
  reason?: string | null;
  words?: string | null;
}

export interface IDevice {
  name: string;
  kind: 'simulator' | 'emulator' | 'qpu';
  label: string;
  num_qubits: number;
  state: 'ready' | 'paused' | 'drained' | 'offline';
  state_reason?: string | null;
  state_until?: string | null;
  calibration: { digest: string; at?: string | null };
  price: { per_task: number; per_shot: number; per_second: number };
  wait: IWait;
}

export interface IErrorBody {
  error: string;
  code: string;
  message: string;
  hint?: string | null;
}

export interface IJob {
  id: string;
  name: string;
  kind: string;
  state: JobState;
  owner: string;
  project: string;
  device: string;
  device_label: string;
  shots?: number | null;
  price?: number | null;
  price_at_most?: number | null;
  on_hold: number;
  cost?: number | null;
  wait?: IWait | null;
  error?: IErrorBody | null;
  created: string;
  changed: string;
  submitted?: string | null;
  started?: string | null;
  ended?: string | null;
  seconds?: number | null;
  version: number;
}

export interface IMeter {
  scope: 'user' | 'project';
  name: string;
  project: string;
  window: string;
  limit: number;
  used: number;
  held: number;
  available: number;
  resets?: string | null;
}

export interface IQuota {
  project: string;
  meters: IMeter[];
  binding: number;
}

export interface IApproval {
  id: string;
  job: IJob;
  project: string;
  asked_by: string;
  reason?: string | null;
  words: string;
  expires: string;
  state: 'open' | 'approved' | 'rejected' | 'expired' | 'withdrawn';
  decided_by?: string | null;
  note?: string | null;
}

export interface IMe {
  name: string;
  roles: string[];
  projects: { [project: string]: string };
}

/** What this Jupyter server knows of the service, without asking it. */
export interface IStatus {
  configured: boolean;
  online: boolean | null;
  since: string;
  seq: number | null;
  page: string;
}

/** An event of Jupyter's bus under our schema. */
export interface IEvent {
  type: string;
  seq: number;
  time?: string;
  job?: string | null;
  project?: string | null;
  data?: { [key: string]: unknown };
}

export const EVENT_SCHEMA = 'urn:jupyter-quantum:event:v1';

const FINAL: ReadonlySet<JobState> = new Set<JobState>([
  'completed',
  'failed',
  'cancelled',
  'rejected',
  'archived'
]);

/** Whether a job has ended. */
export function isFinal(state: JobState): boolean {
  return FINAL.has(state);
}
