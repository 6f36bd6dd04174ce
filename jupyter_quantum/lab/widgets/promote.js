// The promotion widget. Every word comes from Python; this module places words as text nodes, never as markup.
// Charts arrive as SVG text of our own making and are still parsed apart and cleaned before they are shown.

const ICONS = {
  ok: ["#2E8B57", "M3.5 8.5l3 3 6-7"],
  approval: ["#D55E00", null, "M8 2.2 13.8 8 8 13.8 2.2 8z"],
  limit: ["#D55E00", null, "M8 2.5 14.2 13.5H1.8z"],
  refused: ["#DB3B3B", "M4 4l8 8M12 4l-8 8"],
  running: ["#1A7FC0", null, "M4 2.8 13 8 4 13.2z"],
  waiting: ["#1A7FC0", "M8 4.5V8l2.5 2M8 2a6 6 0 1 0 0 12A6 6 0 1 0 8 2"],
  off: ["#757575", null, "M3.5 3.5h9v9h-9z"],
  offline: ["#757575", "M8 2.8a5.2 5.2 0 1 0 0 10.4A5.2 5.2 0 1 0 8 2.8"],
  cancelled: ["#757575", "M8 2.8a5.2 5.2 0 1 0 0 10.4A5.2 5.2 0 1 0 8 2.8M4.4 11.6l7.2-7.2"],
};
const COLUMNS = [
  ["two_qubit", "2q", "two-qubit gates"],
  ["depth", "Depth", "depth of the circuit as it will run"],
  ["success", "Success (est.)", "chance that no modelled error occurs"],
  ["start", "Start", "expected start"],
  ["price", "Price", "credits"],
];
const FOCUSABLE = new Set(["button", "input", "section", "summary", "textarea"]);
const PREFERENCES = ["fidelity", "speed", "cost"];
const SVG = "http://www.w3.org/2000/svg";
let instances = 0;
let copies = 0;

/** An element with attributes and children; strings become text nodes. */
function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  // Lab's own shortcuts would take arrow keys, Enter and letters from whatever has the focus.
  if (FOCUSABLE.has(name) || attributes.tabindex) node.setAttribute("data-lm-suppress-shortcuts", "true");
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value != null) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child != null && child !== ""));
  return node;
}

function icon(name) {
  const [colour, stroke, fill] = ICONS[name] ?? ICONS.offline;
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" }))
    svg.setAttribute(key, value);
  svg.classList.add("jq-icon");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", stroke ?? fill);
  path.setAttribute("fill", fill ? colour : "none");
  if (stroke) for (const [key, value] of Object.entries({ stroke: colour, "stroke-width": 2 })) path.setAttribute(key, value);
  path.setAttribute("stroke-linecap", "round");
  path.setAttribute("stroke-linejoin", "round");
  svg.append(path);
  return svg;
}

/** SVG text as a node, without anything that could act or load. */
function chart(text) {
  const parsed = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  if (parsed.nodeName !== "svg") return null;
  for (const node of [parsed, ...parsed.querySelectorAll("*")]) {
    if (!/^(svg|g|defs|pattern|rect|line|path|circle|text|title)$/.test(node.nodeName)) { node.remove(); continue; }
    for (const { name } of [...node.attributes]) if (/^on|href/i.test(name)) node.removeAttribute(name);
  }
  // One id a copy: a hatch that a hidden copy of the same chart defines would not be painted.
  for (const pattern of parsed.querySelectorAll("pattern")) {
    const [old, fresh] = [pattern.id, `${pattern.id}-${++copies}`];
    for (const node of parsed.querySelectorAll(`[fill="url(#${old})"]`)) node.setAttribute("fill", `url(#${fresh})`);
    pattern.id = fresh;
  }
  return document.importNode(parsed, true);
}

/** Changes a text only where it differs, so that nothing flickers and no selection is lost. */
function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Calls `build` into `node` only when `value` differs from the last time. */
function remake(node, value, build) {
  const key = JSON.stringify(value);
  if (node.jqKey === key) return;
  node.jqKey = key;
  node.replaceChildren(...[build()].flat().filter((child) => child != null && child !== ""));
}

function pairs(list) {
  return el("dl", { class: "jq-pairs" }, ...list.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function plainTable(heads, rows, caption) {
  return el("div", { class: "jq-scroll", tabindex: "0", role: "group", "aria-label": caption },
    el("table", { class: "jq-plain" },
      el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))),
      el("tbody", {}, ...rows.map(([first, ...rest]) =>
        el("tr", {}, el("th", { scope: "row" }, first), ...rest.map((cell) => el("td", {}, cell)))))));
}

/** A chart in its two widths with "Show as table"; the choice is kept in `state`. */
function figure(plot, heading, state) {
  if (!plot.rows.length) return el("p", { class: "jq-muted" }, plot.note);
  const body = el("div", { class: "jq-chart-body" });
  const button = el("button", { type: "button", class: "jq-link" });
  const draw = () => {
    button.textContent = state.asTable ? "Show as chart" : "Show as table";
    if (state.asTable) body.replaceChildren(plainTable(plot.heads, plot.rows, plot.caption));
    else body.replaceChildren(...["wide", "narrow"].map((size) => {
      const svg = chart(plot.svg[size]);
      svg?.classList.add(`jq-${size}`);
      return svg;
    }).filter(Boolean));
  };
  button.addEventListener("click", () => { state.asTable = !state.asTable; draw(); });
  draw();
  return el("figure", {}, el("figcaption", {}, el("strong", {}, heading), button), body,
    plot.note ? el("p", { class: "jq-muted" }, plot.note) : null);
}

class View {
  constructor(model, root) {
    this.model = model;
    this.uid = `jq${++instances}`;
    this.asked = new Set();
    this.lines = new Map();
    this.dry = { asTable: false };
    this.measured = { asTable: false };
    this.acting = null;
    this.reason = "";
    this.announced = "";
    this.root = root;
    this.build();
    this.update();
  }

  get row() {
    return this.model.get("table").rows.find((row) => row.device === this.model.get("selected"));
  }

  build() {
    const { uid } = this;
    this.status = el("div", { class: "jq-sr", role: "status" });
    this.offline = el("p", { class: "jq-line jq-offline", hidden: true });
    this.title = el("h3", { id: `${uid}-title` });
    this.prefer = el("fieldset", { class: "jq-prefer" }, el("legend", {}, "Prefer"), ...PREFERENCES.map((name) =>
      el("label", {}, el("input", { type: "radio", name: `${uid}-prefer`, value: name,
        onchange: () => this.preferred(name) }), name)));
    this.body = el("tbody", { role: "rowgroup" });
    this.table = el("table", { class: "jq-devices", role: "table", "aria-label": "Devices" },
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" },
        el("th", { role: "columnheader", scope: "col" }, "Device"),
        el("th", { role: "columnheader", scope: "col" }, "Kind"),
        ...COLUMNS.map(([name, head, title]) => el("th", { role: "columnheader", scope: "col", title, class: `jq-${name}` }, head)),
        el("th", { role: "columnheader", scope: "col" }, "Verdict"))), this.body);
    this.dryRun = el("div", { class: "jq-plot" });
    this.message = el("p", { class: "jq-line" });
    this.why = el("details", { class: "jq-why" }, el("summary", {}, "Why?"), (this.whyBody = el("div")));
    this.actions = el("div", { class: "jq-actions" });
    this.note = el("div", { class: "jq-note", hidden: true });
    this.slow = el("p", { class: "jq-muted", hidden: true });
    const submit = (event) => { event.preventDefault(); this.act(this.row?.action); };
    // Enter in a field submits, as in any form; Lab keeps the browser from doing so by itself.
    const enter = (event) => { if (event.key === "Enter" && event.target.matches("input")) submit(event); };
    this.form = el("form", { onsubmit: submit, onkeydown: enter },
      el("div", { class: "jq-head" }, this.title, this.prefer), this.table, this.dryRun,
      (this.verdict = el("div", { class: "jq-verdict" }, this.message, this.why)), this.actions);
    this.job = el("div", { class: "jq-job", hidden: true });
    this.buildJob();
    this.frame = el("section", { class: "jq", "aria-labelledby": `${uid}-title` },
      this.offline, this.form, this.job, this.note, this.slow, this.status);
    this.root.append(this.frame);
  }

  buildJob() {
    this.heading = el("h3", { tabindex: "-1", id: `${this.uid}-job` });
    this.id = el("span", { class: "jq-mono jq-muted" });
    this.copyId = el("button", { type: "button", class: "jq-link" }, "copy");
    this.copyId.addEventListener("click", () => this.copy(this.model.get("job").id, this.copyId));
    this.folded = el("p", { class: "jq-muted" });
    this.steps = el("ol", { class: "jq-steps", "aria-label": "Way of the job" });
    this.stateIcon = el("span", { class: "jq-holder" });
    this.line = el("span");
    this.elapsed = el("span", { class: "jq-muted" });
    this.more = el("div");
    this.hold = el("span", { class: "jq-muted" });
    this.buttons = el("div", { class: "jq-buttons" });
    this.result = el("div", { class: "jq-plot" });
    this.details = el("div");
    this.codeBox = el("textarea", { class: "jq-mono", readonly: true, rows: 4, hidden: true, "aria-label": "Code" });
    this.job.append(
      el("div", { class: "jq-head" }, this.heading, el("span", { class: "jq-id" }, this.id, this.copyId)), this.folded, this.steps,
      el("p", { class: "jq-line" }, this.stateIcon, el("span", {}, this.line, this.elapsed)), this.more,
      el("div", { class: "jq-actions" }, this.buttons, this.hold), this.codeBox, this.result,
      el("details", { class: "jq-why" }, el("summary", {}, "Details"), this.details));
  }

  update() {
    const [table, job, note] = ["table", "job", "note"].map((name) => this.model.get(name));
    put(this.title, table.title);
    this.updateOffline();
    this.updateRows(table);
    this.form.hidden = Boolean(job);
    this.job.hidden = !job;
    this.frame.setAttribute("aria-labelledby", `${this.uid}-${job ? "job" : "title"}`);
    if (job) this.updateJob(job); else this.updateChoice();
    this.updateNote(note, job);
    this.updateBusy();
  }

  updateOffline() {
    const said = this.gone || this.model.get("offline");
    this.offline.hidden = !said;
    remake(this.offline, said, () => [icon("offline"), el("span", {}, said)]);
  }

  updateRows(table) {
    const prefer = this.model.get("prefer");
    const inputs = this.prefer.querySelectorAll("input");
    inputs.forEach((input) => { input.checked = input.value === prefer; });
    const order = table.orders[prefer].order;
    const lines = order.map((name) => this.placed(table.rows.find((row) => row.device === name)));
    if (lines.length !== this.body.children.length || lines.some((line, at) => this.body.children[at] !== line)) {
      const focused = document.activeElement;
      this.body.replaceChildren(...lines);
      if (lines.some((line) => line.contains(focused))) focused.focus();
    }
    const selected = this.model.get("selected");
    for (const line of this.body.children) {
      const chosen = line.dataset.device === selected;
      line.classList.toggle("jq-chosen", chosen);
      line.querySelector("input").checked = chosen;
    }
  }

  /** The row of a device, made anew only where it says something else; whoever has the focus in it keeps it. */
  placed(row) {
    const key = JSON.stringify(row);
    const known = this.lines.get(row.device);
    if (known?.jqKey === key) return known;
    const line = this.deviceRow(row);
    line.jqKey = key;
    this.lines.set(row.device, line);
    if (known?.isConnected) {
      const focused = known.contains(document.activeElement);
      known.replaceWith(line);
      if (focused) line.querySelector("input").focus();
    }
    return line;
  }

  deviceRow(row) {
    const input = el("input", { type: "radio", name: `${this.uid}-device`, onchange: () => this.choose(row.device) });
    const line = el("tr", { role: "row" },
      el("th", { role: "rowheader", scope: "row" }, el("label", {}, input, el("span", { class: "jq-name" }, row.device))),
      el("td", { role: "cell", class: "jq-kind" }, row.label),
      ...COLUMNS.map(([name, head]) => el("td", { role: "cell", class: `jq-${name}`, "data-head": head }, row.cells[name])),
      el("td", { role: "cell", class: "jq-word" }, el("span", { class: "jq-line" }, icon(row.icon), el("span", {}, row.word))));
    line.dataset.device = row.device;
    line.addEventListener("click", (event) => {
      if (!event.target.closest("label")) this.choose(row.device, true);
    });
    return line;
  }

  choose(device, focus = false) {
    this.model.set("selected", device);
    this.model.set("note", null);
    this.model.save_changes();
    this.update();
    if (focus) this.body.querySelector("tr.jq-chosen input")?.focus();
  }

  preferred(name) {
    this.model.set("prefer", name);
    const { pick } = this.model.get("table").orders[name];
    if (pick) this.model.set("selected", pick);
    this.model.set("note", null);
    this.model.save_changes();
    this.update();
    this.prefer.querySelector("input:checked")?.focus();
  }

  updateChoice() {
    const { row } = this;
    const { checking } = this.model.get("table");
    if (!row) {
      this.why.hidden = true;
      remake(this.message, ["waiting", checking], () => [icon("waiting"), el("span", {}, checking)]);
      return;
    }
    remake(this.message, [row.icon, row.message], () => [icon(row.icon), el("span", {}, row.message)]);
    this.why.hidden = !row.why.length;
    remake(this.whyBody, row.why, () => pairs(row.why));
    this.updateDryRun(row);
    const { action } = row;
    remake(this.actions, [row.device, action, row.quota], () => [
      action.reason ? el("label", { class: "jq-reason" }, el("span", {}, "Reason"), el("input", { type: "text",
        maxlength: 1000, value: this.reason, autocomplete: "off", oninput: (event) => { this.reason = event.target.value; } })) : null,
      action.do === "none" ? null : el("button", { type: "submit", class: "jq-primary", "data-label": action.label }, action.label),
      row.quota ? el("span", { class: "jq-muted" }, row.quota) : null,
    ]);
  }

  updateDryRun(row) {
    const table = this.model.get("table");
    const plots = this.model.get("plots");
    const plot = plots[row.device];
    const key = `${table.id} ${row.device}`;
    const made = row.device in plots;
    if (row.plottable && !made && !this.asked.has(key) && !this.gone) {
      this.asked.add(key);
      this.model.send({ do: "dry_run", device: row.device });
    }
    const waiting = row.plottable && !made ? `The dry run on ${row.device} is being made.` : "";
    this.dryRun.hidden = !plot && !waiting;
    remake(this.dryRun, [key, plot, waiting], () =>
      plot ? figure(plot, `Dry run on ${row.device}`, this.dry) : el("p", { class: "jq-muted" }, waiting));
  }

  updateJob(job) {
    remake(this.heading, [job.icon, job.name, job.device, job.label], () =>
      [el("span", {}, `${job.name} → ${job.device}`), el("span", { class: "jq-muted" }, ` (${job.label})`)]);
    put(this.id, job.short);
    this.copyId.setAttribute("aria-label", `copy the id ${job.id}`);
    put(this.folded, job.folded);
    remake(this.steps, job.steps, () => job.steps.map((step) =>
      el("li", { "aria-current": step.now ? "step" : null, class: step.ahead ? "jq-ahead" : null }, step.word,
        step.time ? el("time", { datetime: step.iso }, ` ${step.time}`) : null)));
    remake(this.stateIcon, job.icon, () => icon(job.icon));
    put(this.line, job.line);
    remake(this.more, job.more, () => job.more.map((line) => el("p", { class: "jq-more" }, line)));
    put(this.hold, job.hold);
    this.result.hidden = !job.plot;
    remake(this.result, [job.id, job.plot], () => job.plot ? figure(job.plot, job.plot_title, this.measured) : []);
    remake(this.details, job.details, () => pairs(job.details));
    const focused = this.buttons.contains(document.activeElement);
    remake(this.buttons, job.buttons, () => job.buttons.map((button) =>
      el("button", { type: "button", class: "jq-secondary", "data-do": button.do, onclick: (event) => this.act(button, event.target) }, button.label)));
    if (focused && !this.buttons.contains(document.activeElement)) this.heading.focus();
    if (job.announce !== this.announced) put(this.status, (this.announced = job.announce));
    this.tick();
  }

  /** What went wrong stands where the verdict was, or below the job. */
  updateNote(note, job) {
    const [place, before] = job ? [this.frame, this.slow] : [this.form, this.actions];
    if (this.note.nextSibling !== before) place.insertBefore(this.note, before);
    this.verdict.hidden = Boolean(note);
    this.note.hidden = !note;
    remake(this.note, note, () => note ? [
      el("p", { class: "jq-line" }, icon("refused"), el("span", {}, `${note.text} ${note.hint}`.trim())),
      el("details", { class: "jq-why" }, el("summary", {}, "Details"), pairs([["Code", note.code]])),
    ] : []);
    const said = note ? note.text : "";
    if (note && this.noted !== said) put(this.status, said);
    this.noted = said;
  }

  updateBusy() {
    const words = this.acting ? this.model.get("busy") || this.acting.words : this.model.get("busy");
    for (const button of this.frame.querySelectorAll(".jq-primary, .jq-secondary:not([data-do=copy])")) {
      if (words || this.gone) button.setAttribute("aria-disabled", "true");
      else button.removeAttribute("aria-disabled");
    }
    const primary = this.frame.querySelector(".jq-primary");
    if (primary) put(primary, words || primary.dataset.label);
    this.slow.hidden = !(this.acting?.slow && !this.model.get("busy"));
    put(this.slow, "The kernel is busy with another cell; your click waits until that cell has ended.");
  }

  act(action, button) {
    if (action?.do === "copy") { this.copy(this.model.get("job").code, button); return; }
    if (!action || action.do === "none" || this.acting || this.model.get("busy") || this.gone) return;
    if (action.do === "choose") { this.choose(action.device, true); return; }
    const words = { cancel: "Cancelling…", bundle: "Saving…", shots: "Validating…", again: "Validating…" }[action.do] ?? "Submitting…";
    this.acting = { words, before: this.model.get("job")?.id };
    this.acting.timer = setTimeout(() => { if (this.acting) { this.acting.slow = true; this.updateBusy(); } }, 1500);
    const device = action.device ?? this.model.get("selected");
    this.model.send({ do: action.do, device, reason: action.reason ? this.reason : null, shots: action.shots });
    put(this.status, words);
    this.updateBusy();
  }

  /** The act of this view was answered: focus follows, since it was this view's own click. */
  answered() {
    if (!this.acting) return;
    const { before, timer } = this.acting;
    clearTimeout(timer);
    this.acting = null;
    this.update();
    const job = this.model.get("job");
    if (job && job.id !== before) this.heading.focus();
    else if (!job && before) this.body.querySelector("tr.jq-chosen input")?.focus();
  }

  async copy(text, button) {
    const label = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
      put(button, "Copied");
      put(this.status, "Copied");
      setTimeout(() => put(button, label), 1500);
    } catch {
      this.codeBox.value = text;
      this.codeBox.hidden = false;
      this.codeBox.focus();
      this.codeBox.select();
    }
  }

  /** Elapsed time: whole seconds, only while the page is visible; never announced. */
  tick() {
    clearTimeout(this.timer);
    const since = this.model.get("job")?.since;
    if (!since) { put(this.elapsed, ""); return; }
    const seconds = Math.max(0, Math.floor((Date.now() - Date.parse(since)) / 1000));
    const minutes = Math.floor(seconds / 60);
    put(this.elapsed, seconds < 1 ? "" : ` · ${minutes ? `${minutes} min ` : ""}${seconds % 60} s`);
    if (!document.hidden) this.timer = setTimeout(() => this.tick(), 1000);
  }

  lost() {
    const job = this.model.get("job");
    this.gone = job && !job.final
      ? `The kernel was restarted. The job goes on; Hub().job("${job.id}") finds it.`
      : "The kernel was restarted. Run the cell again to go on.";
    this.update();
  }
}

function render({ model, el: root }) {
  const view = new View(model, root);
  let due = null;
  const soon = () => { due ??= requestAnimationFrame(() => { due = null; view.update(); }); };
  const names = ["table", "plots", "job", "note", "offline", "selected", "prefer", "busy"].map((name) => `change:${name}`);
  const answered = () => view.answered();
  const lost = () => view.lost();
  const seen = () => view.tick();
  for (const name of names) model.on(name, soon);
  model.on("change:done", answered);
  model.on("comm_live_update", lost);
  document.addEventListener("visibilitychange", seen);
  return () => {
    for (const name of names) model.off(name, soon);
    model.off("change:done", answered);
    model.off("comm_live_update", lost);
    document.removeEventListener("visibilitychange", seen);
    clearTimeout(view.timer);
    if (due !== null) cancelAnimationFrame(due);
  };
}

export default { render };
