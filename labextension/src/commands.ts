import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Clipboard, Notification } from '@jupyterlab/apputils';
import type { INotebookTracker } from '@jupyterlab/notebook';
import { copyIcon, MenuSvg, notebookIcon, stopIcon } from '@jupyterlab/ui-components';
import { quantumIcon, tutorialIcon } from './icons';
import type { QuantumModel } from './model';
import { insertCell, promoteCell, resultCell } from './notebook';
import { isFinal, type IJob } from './wire';

/** Names of the commands, for the palette, menus and other extensions. */
export const Command = {
  open: 'quantum:open-panel',
  promote: 'quantum:promote',
  tutorials: 'quantum:tutorials',
  cancel: 'quantum:cancel-job',
  copyId: 'quantum:copy-job-id',
  result: 'quantum:open-result-code'
} as const;

const TUTORIALS = ['01-first-circuit.ipynb', 'tutorials/01-first-circuit.ipynb'];
const PROMOTION = ['02-promotion.ipynb', 'tutorials/02-promotion.ipynb'];

/** What the commands act on. */
export interface IParts {
  app: JupyterFrontEnd;
  model: QuantumModel;
  tracker: INotebookTracker | null;
  openPanel: () => void;
}

/** Register everything that a person can call by name. */
export function addCommands(parts: IParts): void {
  const { app, tracker } = parts;
  const idArgs = { type: 'object', properties: { id: { type: 'string' } }, required: ['id'] } as const;
  app.commands.addCommand(Command.open, {
    label: 'Open panel',
    caption: 'Quota, devices and jobs of the quantum service',
    icon: quantumIcon,
    execute: parts.openPanel,
    describedBy: { args: { type: 'object', properties: {} } }
  });
  app.commands.addCommand(Command.tutorials, {
    label: 'Quantum tutorials',
    caption: 'Open the first of the numbered notebooks',
    icon: args => (args.isPalette ? undefined : tutorialIcon),
    execute: args => openFirst(app, args.promotion ? PROMOTION : TUTORIALS),
    describedBy: { args: { type: 'object', properties: { promotion: { type: 'boolean' } } } }
  });
  if (tracker) {
    app.commands.addCommand(Command.promote, {
      label: 'Promote circuit',
      caption: 'Insert a cell that shows where your circuit could run, and at what price',
      execute: () => insertCell(app, tracker, promoteCell),
      describedBy: { args: { type: 'object', properties: {} } }
    });
    app.commands.addCommand(Command.result, {
      label: 'Open result code',
      icon: notebookIcon,
      execute: args => insertCell(app, tracker, () => resultCell(String(args.id))),
      describedBy: { args: idArgs }
    });
  }
  app.commands.addCommand(Command.copyId, {
    label: 'Copy job id',
    icon: copyIcon,
    execute: args => Clipboard.copyToSystem(String(args.id)),
    describedBy: { args: idArgs }
  });
  app.commands.addCommand(Command.cancel, {
    label: 'Cancel job',
    icon: stopIcon,
    execute: args => cancel(parts.model, String(args.id)),
    describedBy: { args: idArgs }
  });
}

/** Open the menu of a job below the button that was pressed. */
export function openJobMenu(app: JupyterFrontEnd, job: IJob, anchor: HTMLElement): void {
  const menu = new MenuSvg({ commands: app.commands });
  const args = { id: job.id };
  if (job.state === 'completed' && app.commands.hasCommand(Command.result)) {
    menu.addItem({ command: Command.result, args });
  }
  menu.addItem({ command: Command.copyId, args });
  if (!isFinal(job.state)) {
    menu.addItem({ command: Command.cancel, args });
  }
  // The item's command runs after the menu has closed, so it is not disposed before.
  menu.aboutToClose.connect(() => {
    anchor.focus();
    setTimeout(() => menu.dispose(), 0);
  });
  const { right, bottom } = anchor.getBoundingClientRect();
  menu.open(right, bottom, { horizontalAlignment: 'right' });
}

async function cancel(model: QuantumModel, id: string): Promise<void> {
  try {
    await model.cancel(id);
  } catch (error) {
    Notification.error(error instanceof Error ? error.message : String(error));
  }
}

/** Open the first of these files that exists. */
async function openFirst(app: JupyterFrontEnd, paths: string[]): Promise<void> {
  for (const path of paths) {
    const found = await app.serviceManager.contents.get(path, { content: false }).catch(() => null);
    if (found !== null) {
      await app.commands.execute('docmanager:open', { path });
      return;
    }
  }
  Notification.info(`This workspace has no ${paths[0]}. Your administrator can add the tutorials.`);
}
