import { ellipsesIcon, InputGroup } from '@jupyterlab/ui-components';
import React from 'react';
import type { QuantumModel } from './model';
import {
  approvalExpiry,
  approvalPrice,
  deviceDetail,
  deviceSaid,
  jobReason,
  jobSaid,
  leftWords,
  offlineWords,
  quotaState,
  type ISaid
} from './say';
import { isFinal, type IApproval, type IDevice, type IJob, type IMeter } from './wire';
import { limit, moment, price } from './words';

/** What a row's menu and the empty texts can do. */
export interface IActions {
  menu: (job: IJob, anchor: HTMLElement) => void;
  tutorials: () => void;
}

const FILTER_FROM = 6;

function Mark(props: { said: ISaid }): JSX.Element {
  const { icon, tone } = props.said;
  return <icon.react tag="span" className={`jq-Icon jq-tone-${tone}`} aria-hidden="true" />;
}

/** The panel's head: the budget that binds, as words and as a bar. */
export function Head(props: { model: QuantumModel }): JSX.Element {
  const { link, meter } = props.model;
  const offline = link.state === 'offline' || link.state === 'unconfigured';
  const words = offline ? offlineWords(link) : link.words;
  return (
    <div className="jq-Head">
      <div className="jq-Head-line">
        <h2>Quantum</h2>
        {meter && <span className="jq-Head-left">{leftWords(meter)}</span>}
      </div>
      {meter && <Bar meter={meter} />}
      {words && <p className="jq-Notice">{words}</p>}
    </div>
  );
}

function Bar(props: { meter: IMeter }): JSX.Element {
  const { meter } = props;
  const share = (part: number) => `${Math.min(100, Math.max(0, (100 * part) / (meter.limit || 1)))}%`;
  const spent = meter.used ? price(meter.used) : '0.00';
  const held = meter.held ? price(meter.held) : '0.00';
  const words = `used ${spent} · on hold ${held}`;
  return (
    <>
      <div
        className={`jq-Bar jq-mod-${quotaState(meter)}`}
        role="img"
        aria-label={`${words} of ${limit(meter.limit)} credits`}
      >
        <span className="jq-Bar-used" style={{ width: share(meter.used) }} />
        <span className="jq-Bar-held" style={{ width: share(meter.held) }} />
      </div>
      <p className="jq-Muted jq-Head-detail">
        <span>{words}</span>
        <span>
          {meter.project} · {meter.window}
        </span>
      </p>
      {meter.resets && <p className="jq-Muted">Starts again {moment(meter.resets)}</p>}
    </>
  );
}

/** Devices with their health and wait. */
export function Devices(props: { devices: IDevice[] | null; empty: string }): JSX.Element {
  if (!props.devices?.length) {
    return <p className="jq-Empty">{props.devices ? 'No devices are offered to you.' : props.empty}</p>;
  }
  return (
    <ul className="jq-List" aria-label="Devices">
      {props.devices.map(device => (
        <DeviceRow key={device.name} device={device} />
      ))}
    </ul>
  );
}

function DeviceRow(props: { device: IDevice }): JSX.Element {
  const said = deviceSaid(props.device);
  return (
    <li className="jq-Row" title={deviceDetail(props.device)} data-device={props.device.name}>
      <Mark said={said} />
      <span className="jq-Row-body">
        <span className="jq-Row-main">
          <b>{props.device.name}</b> <span className="jq-Muted">{props.device.label}</span>
        </span>
        <span className="jq-Row-side">{said.words}</span>
      </span>
    </li>
  );
}

/** The caller's jobs, newest first, with a filter once there are many. */
export function Jobs(props: { jobs: IJob[] | null; empty: string; actions: IActions }): JSX.Element {
  const [wanted, setWanted] = React.useState('');
  const jobs = props.jobs;
  if (jobs === null) {
    return <p className="jq-Empty">{props.empty}</p>;
  }
  if (!jobs.length) {
    return <NoJobs open={props.actions.tutorials} />;
  }
  const shown = jobs.filter(job => searchable(job).includes(wanted.trim().toLowerCase()));
  return (
    <>
      {jobs.length >= FILTER_FROM && (
        <div className="jq-Filter">
          <InputGroup
            type="search"
            placeholder="Filter jobs"
            aria-label="Filter jobs by name, device or state"
            rightIcon="ui-components:search"
            value={wanted}
            onChange={event => setWanted(event.currentTarget.value)}
          />
        </div>
      )}
      <ul className="jq-List" aria-label="My jobs">
        {shown.map(job => (
          <JobRow key={job.id} job={job} menu={props.actions.menu} />
        ))}
      </ul>
      {!shown.length && <p className="jq-Empty">No job matches.</p>}
    </>
  );
}

function searchable(job: IJob): string {
  return `${job.name} ${job.device} ${job.device_label} ${job.state} ${jobSaid(job).words} ${job.id}`.toLowerCase();
}

function NoJobs(props: { open: () => void }): JSX.Element {
  return (
    <p className="jq-Empty">
      No jobs yet. Try <b>Promote circuit</b> in tutorial 02.{' '}
      <button type="button" className="jq-Link" onClick={props.open}>
        Open
      </button>
    </p>
  );
}

function JobRow(props: { job: IJob; menu: IActions['menu'] }): JSX.Element {
  const { job } = props;
  const said = jobSaid(job);
  const reason = jobReason(job);
  return (
    <li className={`jq-Row jq-Job${isFinal(job.state) ? ' jq-mod-final' : ''}`} data-job={job.id} data-state={job.state}>
      <Mark said={said} />
      <span className="jq-Row-body">
        <span className="jq-Row-main" title={`${job.name} on ${job.device} (${job.device_label})`}>
          <b>{job.name}</b> <span className="jq-Muted">{job.device}</span>
        </span>
        <span className="jq-Row-side">{said.words}</span>
        {reason && (
          <span className="jq-Row-why" title={reason}>
            {reason}
          </span>
        )}
      </span>
      <button
        type="button"
        className="jq-More"
        aria-haspopup="menu"
        aria-label={`Actions for ${job.name} on ${job.device}, ${said.words}`}
        title="Actions"
        onClick={event => props.menu(job, event.currentTarget)}
      >
        <ellipsesIcon.react tag="span" aria-hidden="true" />
      </button>
    </li>
  );
}

/** Requests that wait for a lead; the hub's page decides. */
export function Approvals(props: { approvals: IApproval[]; page: string; me: string }): JSX.Element {
  if (!props.approvals.length) {
    return <p className="jq-Empty">Nothing waits for you.</p>;
  }
  return (
    <>
      <ul className="jq-List" aria-label="Approvals">
        {props.approvals.map(approval => (
          <ApprovalRow key={approval.id} approval={approval} own={approval.asked_by === props.me} />
        ))}
      </ul>
      {props.page && (
        <p className="jq-Empty">
          <a className="jq-Link" href={props.page} target="_blank" rel="noopener noreferrer">
            Decide on the hub page
          </a>
        </p>
      )}
    </>
  );
}

function ApprovalRow(props: { approval: IApproval; own: boolean }): JSX.Element {
  const { approval } = props;
  const { job } = approval;
  return (
    <li className="jq-Row jq-Approval" data-approval={approval.id}>
      <Mark said={jobSaid({ ...job, state: 'awaiting_approval' })} />
      <span className="jq-Row-body">
        <span className="jq-Row-main">
          <b>
            {approval.asked_by}: {job.name}
          </b>{' '}
          <span className="jq-Muted">
            {job.device} ({job.device_label})
          </span>
        </span>
        <span className="jq-Row-side">
          {approvalPrice(approval)} · {approvalExpiry(approval)}
        </span>
        {approval.reason && <span className="jq-Row-why">“{approval.reason}”</span>}
        {props.own && <span className="jq-Row-why">You asked for this, so another lead must decide.</span>}
      </span>
    </li>
  );
}
