import { ReactWidget, SidePanel, UseSignal } from '@jupyterlab/ui-components';
import type { AccordionPanel } from '@lumino/widgets';
import React from 'react';
import { quantumIcon } from './icons';
import type { QuantumModel } from './model';
import { Approvals, Devices, Head, Jobs, type IActions } from './rows';
import { offlineWords } from './say';
import { isFinal } from './wire';

const ASKING = 'Asking the quantum service …';

/** The side panel: quota, devices, my jobs and, for leads, approvals. */
export class QuantumPanel extends SidePanel {
  constructor(
    private readonly _model: QuantumModel,
    actions: IActions
  ) {
    super();
    this.id = 'jupyter-quantum-panel';
    this.addClass('jq-Panel');
    this.title.icon = quantumIcon;
    this.title.caption = 'Quantum';
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'Quantum');
    const model = this._model;
    this.header.addWidget(section(model, () => <Head model={model} />));
    this._devices = section(model, () => <Devices devices={model.devices} empty={this._empty()} />);
    this._jobs = section(model, () => <Jobs jobs={model.jobs} empty={this._empty()} actions={actions} />);
    this._approvals = section(model, () => (
      <Approvals approvals={model.approvals} page={model.page} me={model.me?.name ?? ''} />
    ));
    for (const scrolls of [this._devices, this._jobs, this._approvals]) {
      scrolls.node.tabIndex = 0;
    }
    this.addWidget(this._devices);
    this.addWidget(this._jobs);
    (this.content as AccordionPanel).setRelativeSizes([2, 3]);
    model.changed.connect(this._update, this);
    this._update();
  }

  private _update(): void {
    const active = this._model.jobs?.filter(job => !isFinal(job.state)).length ?? 0;
    name(this._devices, 'Devices');
    name(this._jobs, active ? `My jobs · ${active} active` : 'My jobs');
    const waiting = this._model.approvals.length;
    name(this._approvals, waiting ? `Approvals · ${waiting}` : 'Approvals');
    this._showApprovals(this._model.isLead);
  }

  private _showApprovals(wanted: boolean): void {
    const content = this.content as AccordionPanel;
    const there = content.widgets.includes(this._approvals);
    if (wanted && !there) {
      this.addWidget(this._approvals);
      content.setRelativeSizes([3, 4, 3]);
    } else if (!wanted && there) {
      this._approvals.parent = null;
    }
  }

  private _empty(): string {
    const link = this._model.link;
    return link.state === 'offline' || link.state === 'unconfigured' ? offlineWords(link) : link.words || ASKING;
  }

  private readonly _devices: ReactWidget;
  private readonly _jobs: ReactWidget;
  private readonly _approvals: ReactWidget;
}

function section(model: QuantumModel, render: () => JSX.Element): ReactWidget {
  const widget = ReactWidget.create(<UseSignal signal={model.changed}>{render}</UseSignal>);
  widget.addClass('jq-Section');
  return widget;
}

/** Set a title only where it changes: the accordion redraws it. */
function name(widget: ReactWidget, label: string): void {
  if (widget.title.label !== label) {
    widget.title.label = label;
  }
}
