import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import type {
  IApproval,
  IDevice,
  IErrorBody,
  IJob,
  IMe,
  IQuota,
  IStatus
} from './wire';

/** A refusal in the service's own words. */
export class ServiceError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string
  ) {
    super(message);
  }

  /** Whether the service could not be reached, as opposed to having said no. */
  get offline(): boolean {
    return this.code === 'service.offline' || this.code === 'server.offline';
  }
}

/** Lab's way to the service: this Jupyter server, which adds its own token. */
export class Api {
  constructor(private readonly _settings: ServerConnection.ISettings) {}

  status(): Promise<IStatus> {
    return this._ask('quantum/status');
  }

  me(): Promise<IMe> {
    return this._ask('quantum/api/v1/me');
  }

  quota(): Promise<IQuota> {
    return this._ask('quantum/api/v1/quota');
  }

  async devices(): Promise<IDevice[]> {
    return (await this._ask<{ devices: IDevice[] }>('quantum/api/v1/devices'))
      .devices;
  }

  async jobs(): Promise<IJob[]> {
    return (await this._ask<{ jobs: IJob[] }>('quantum/api/v1/jobs?limit=50'))
      .jobs;
  }

  job(id: string): Promise<IJob> {
    return this._ask(`quantum/api/v1/jobs/${encodeURIComponent(id)}`);
  }

  async approvals(): Promise<IApproval[]> {
    const path = 'quantum/api/v1/approvals?state=open';
    return (await this._ask<{ approvals: IApproval[] }>(path)).approvals;
  }

  cancel(id: string): Promise<IJob> {
    const path = `quantum/api/v1/jobs/${encodeURIComponent(id)}/cancel`;
    return this._ask(path, { method: 'POST', body: '{}' });
  }

  private async _ask<T>(path: string, init: RequestInit = {}): Promise<T> {
    const url = URLExt.join(this._settings.baseUrl, path);
    let answer: Response;
    try {
      answer = await ServerConnection.makeRequest(url, init, this._settings);
    } catch {
      throw new ServiceError(
        0,
        'server.offline',
        'Your Jupyter server does not answer.'
      );
    }
    const body: unknown = await answer.json().catch(() => null);
    if (!answer.ok) {
      throw refusal(answer.status, body);
    }
    return body as T;
  }
}

function refusal(status: number, body: unknown): ServiceError {
  const said = (body ?? {}) as Partial<IErrorBody>;
  if (!said.code || !said.message) {
    return new ServiceError(
      status,
      'internal',
      `The request failed (HTTP ${status}).`
    );
  }
  const text = said.hint ? `${said.message} ${said.hint}` : said.message;
  return new ServiceError(status, said.code, text);
}
