import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import React from 'react';
import type { QuantumModel } from './model';
import { quotaSaid } from './say';

/** The status bar's button: what is left, in three forms of urgency; it opens the panel. */
export class QuotaButton extends ReactWidget {
  constructor(
    private readonly _model: QuantumModel,
    private readonly _open: () => void
  ) {
    super();
    this.addClass('jq-StatusItem');
  }

  protected render(): JSX.Element {
    return (
      <UseSignal signal={this._model.changed}>
        {() => <Quota model={this._model} open={this._open} />}
      </UseSignal>
    );
  }
}

function Quota(props: { model: QuantumModel; open: () => void }): JSX.Element {
  const quota = quotaSaid(props.model);
  return (
    <button
      type="button"
      className={`jq-Quota jq-mod-${quota.state}`}
      data-state={quota.state}
      aria-label={`${quota.spoken}. Open the quantum panel`}
      title={quota.spoken}
      onClick={props.open}
    >
      <quota.icon.react tag="span" className="jq-Icon" aria-hidden="true" />
      <span>{quota.text}</span>
    </button>
  );
}
