import type { JupyterFrontEnd } from '@jupyterlab/application';
import { NotebookActions, type INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';

const KERNEL = 'quantum-sandbox';
const MADE = /^[ \t]*([A-Za-z_]\w*)(?:[ \t]*:[^=\n]*)?[ \t]*=[ \t]*(?:\w+\.)*QuantumCircuit\b/gm;
const IMPORTED = /^[ \t]*from[ \t]+jupyter_quantum[ \t]+import\b.*\bpromote\b/m;

/** The name that the last circuit above the active cell was given; `circuit` where none is found. */
export function circuitName(sources: string[]): string {
  const found = [...sources.join('\n').matchAll(MADE)];
  return found[found.length - 1]?.[1] ?? 'circuit';
}

/** The cell that promotes a circuit, with the import where the notebook lacks it. */
export function promoteCell(above: string[], all: string[]): string {
  const call = `promote(${circuitName(above)})`;
  return IMPORTED.test(all.join('\n')) ? call : `from jupyter_quantum import promote\n\n${call}`;
}

/** The cell that fetches a job's result again. */
export function resultCell(id: string): string {
  return `from jupyter_quantum import Hub\n\njob = Hub().job("${id}")\njob.result()`;
}

/** Insert a cell below the active one of the current notebook; a new notebook is made where there is none. */
export async function insertCell(
  app: JupyterFrontEnd,
  tracker: INotebookTracker,
  write: (above: string[], all: string[]) => string
): Promise<void> {
  const panel = tracker.currentWidget ?? (await newNotebook(app));
  if (panel === null) {
    return;
  }
  await panel.revealed;
  const notebook = panel.content;
  const all = notebook.widgets.map(cell => cell.model.sharedModel.getSource());
  const text = write(all.slice(0, notebook.activeCellIndex + 1), all);
  if (notebook.activeCell?.model.sharedModel.getSource().trim() || notebook.activeCell?.model.type !== 'code') {
    NotebookActions.insertBelow(notebook);
  }
  notebook.activeCell?.model.sharedModel.setSource(text);
  app.shell.activateById(panel.id);
  notebook.mode = 'edit';
}

async function newNotebook(app: JupyterFrontEnd): Promise<NotebookPanel | null> {
  const made: unknown = await app.commands.execute('notebook:create-new', { kernelName: KERNEL });
  const panel = made as NotebookPanel | undefined;
  await panel?.context.ready;
  return panel ?? null;
}
