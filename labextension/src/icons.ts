import { LabIcon } from '@jupyterlab/ui-components';

/** 16 px glyphs of the UX guide; the colour is the status's, set in the style sheet. */
function glyph(name: string, inner: string): LabIcon {
  return new LabIcon({
    name: `jupyter-quantum:${name}`,
    svgstr: `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" width="16" height="16">${inner}</svg>`
  });
}

const line =
  'fill="none" class="jq-stroke" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"';

export const quantumIcon = new LabIcon({
  name: 'jupyter-quantum:panel',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="24" height="24">
    <path class="jp-icon3" fill="#616161" fill-rule="evenodd" d="M12 1.6 21 6.8v10.4l-9 5.2-9-5.2V6.8zm0 2.3L5 7.95v8.1l7 4.05 7-4.05v-8.1z"/>
    <path class="jp-icon3" fill="#616161" d="M9.2 6.8h5.6v4.1h-2.1v2.3a2 2 0 0 1 1.15 1.1H18v1.4h-4.15a2 2 0 0 1-3.7 0H6v-1.4h4.15a2 2 0 0 1 1.15-1.1v-2.3H9.2V9.55H6.5v-1.4h2.7zM17.5 8.15h-2.7v1.4h2.7z"/>
  </svg>`
});

export const tutorialIcon = new LabIcon({
  name: 'jupyter-quantum:tutorials',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" width="52" height="52">
    <path d="M32 4 56.2 18v28L32 60 7.8 46V18z" fill="#1A7FC0"/>
    <g fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round"><path d="M15 25h10M39 25h10M15 41h34"/><path d="M32 32v9"/></g>
    <rect x="25" y="18" width="14" height="14" rx="2" fill="#fff"/>
    <path d="M29 28v-6M35 28v-6M29 25h6" stroke="#1A7FC0" stroke-width="2" fill="none" stroke-linecap="round"/>
    <circle cx="32" cy="41" r="4" fill="#fff"/>
  </svg>`
});

export const icons = {
  plenty: glyph('plenty', `<path ${line} d="M8 1.8 13.4 5v6L8 14.2 2.6 11V5z"/>`),
  ok: glyph('ok', `<path ${line} d="m2.8 8.6 3.4 3.4 7-8"/>`),
  approval: glyph(
    'approval',
    '<path class="jq-fill" d="M8 1.5 14.5 8 8 14.5 1.5 8z"/>'
  ),
  near: glyph('near', '<path class="jq-fill" d="M8 2 15 14H1z"/>'),
  error: glyph('error', `<path ${line} d="m3.5 3.5 9 9m0-9-9 9"/>`),
  running: glyph('running', '<path class="jq-fill" d="M4 2.2 13.5 8 4 13.8z"/>'),
  waiting: glyph(
    'waiting',
    `<circle ${line} cx="8" cy="8" r="6"/><path ${line} d="M8 4.6V8l2.4 1.6"/>`
  ),
  drained: glyph(
    'drained',
    '<rect class="jq-fill" x="3" y="3" width="10" height="10" rx="1"/>'
  ),
  offline: glyph('offline', `<circle ${line} cx="8" cy="8" r="5.6"/>`),
  cancelled: glyph(
    'cancelled',
    `<circle ${line} cx="8" cy="8" r="5.8"/><path ${line} d="m4 12 8-8"/>`
  )
};
