import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import { Widget } from '@lumino/widgets';

const VIEW = 'application/vnd.jupyter.widget-view+json';
const HTML = 'text/html';
/** The manager of widgets says so where the kernel that had the widget is gone. */
const GONE = /^Error displaying widget/;

type Registry = NotebookPanel['content']['rendermime'];
type MimeModel = Parameters<ReturnType<Registry['createRenderer']>['renderModel']>[0];

interface IOutputs {
  widgets: readonly Widget[];
  model: { get(index: number): MimeModel };
}

/**
 * A notebook that is opened again shows what each of our widgets said when its cell ran, instead of an error: its
 * output carries that as HTML.
 */
export function showSaved(tracker: INotebookTracker): void {
  tracker.widgetAdded.connect((_, panel) => {
    let due = false;
    const look = () => {
      due = false;
      lostOutputs(panel).forEach(({ node, model }) => void replace(panel, node, model));
    };
    const observer = new MutationObserver(() => {
      if (!due) {
        due = true;
        requestAnimationFrame(look);
      }
    });
    observer.observe(panel.content.node, { childList: true, subtree: true });
    panel.disposed.connect(() => observer.disconnect());
  });
}

interface ILost {
  node: HTMLElement;
  model: MimeModel;
}

function lostOutputs(panel: NotebookPanel): ILost[] {
  const nodes = panel.content.node.querySelectorAll<HTMLElement>('.jp-OutputArea-output.jupyter-widgets');
  return [...nodes]
    .filter(node => GONE.test(node.textContent ?? ''))
    .map(node => ({ node, model: modelOf(panel, node) }))
    .filter((one): one is ILost => one.model !== null && ours(one.model));
}

function ours(model: MimeModel): boolean {
  return VIEW in model.data && HTML in model.data && 'jupyter_quantum' in model.metadata;
}

function modelOf(panel: NotebookPanel, node: HTMLElement): MimeModel | null {
  const cell = panel.content.widgets.find(one => one.node.contains(node));
  const outputs = (cell as { outputArea?: IOutputs } | undefined)?.outputArea;
  const index = outputs?.widgets.findIndex(one => one.node.contains(node)) ?? -1;
  return outputs && index >= 0 ? outputs.model.get(index) : null;
}

async function replace(panel: NotebookPanel, node: HTMLElement, model: MimeModel): Promise<void> {
  const renderer = panel.content.rendermime.createRenderer(HTML);
  node.textContent = '';
  node.classList.remove('jupyter-widgets');
  Widget.attach(renderer, node);
  await renderer.renderModel(model);
}
