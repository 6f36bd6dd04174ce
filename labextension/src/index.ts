import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IStatusBar } from '@jupyterlab/statusbar';
import { Api } from './api';
import { addCommands, Command, openJobMenu } from './commands';
import { QuantumModel } from './model';
import { Notifier } from './notify';
import { QuantumPanel } from './panel';
import { showSaved } from './saved';
import { QuotaButton } from './status';

const CATEGORY = 'Quantum';

/** Everything of ours in Lab. Each host part is optional: Notebook 7 has no status bar and no launcher. */
const plugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-quantum:plugin',
  description: 'Quota, devices and jobs of the quantum service.',
  autoStart: true,
  optional: [IStatusBar, ICommandPalette, ILauncher, INotebookTracker, ILayoutRestorer],
  activate: (
    app: JupyterFrontEnd,
    statusBar: IStatusBar | null,
    palette: ICommandPalette | null,
    launcher: ILauncher | null,
    tracker: INotebookTracker | null,
    restorer: ILayoutRestorer | null
  ): void => {
    const api = new Api(app.serviceManager.serverSettings);
    const watched = () => panel.isVisible && document.visibilityState === 'visible';
    const model = new QuantumModel({ services: app.serviceManager, api, watched });
    const panel: QuantumPanel = new QuantumPanel(model, {
      menu: (job, anchor) => openJobMenu(app, job, anchor),
      tutorials: () => void app.commands.execute(Command.tutorials, { promotion: true })
    });
    const openPanel = () => app.shell.activateById(panel.id);
    app.shell.add(panel, 'left', { rank: 350, type: 'Quantum' });
    restorer?.add(panel, panel.id);
    addCommands({ app, model, tracker, openPanel });
    if (tracker) {
      showSaved(tracker);
    }
    new Notifier(model, watched, openPanel);
    statusBar?.registerStatusItem('jupyter-quantum:quota', {
      item: new QuotaButton(model, openPanel),
      align: 'left',
      rank: 90,
      priority: 1
    });
    launcher?.add({ command: Command.tutorials, category: CATEGORY, categoryRank: 0, rank: 1 });
    for (const command of [Command.open, Command.promote, Command.tutorials]) {
      if (app.commands.hasCommand(command)) {
        palette?.addItem({ command, category: CATEGORY, args: { isPalette: true } });
      }
    }
  }
};

export default plugin;
