// Keeps the page up to date while somebody looks at it. The page is complete without this script.
// A part is replaced only where it changed, and never while the reader's focus, a text, a selection or an open detail
// is in it.

// A script without this token is not ours: notebooks run on this origin, too.
const token = document.body.dataset.xsrf;
const parts = () => new Map([...document.querySelectorAll("[data-live]")].map((part) => [part.dataset.live, part]));
const busy = (part) =>
  part.contains(document.activeElement) || part.querySelector("details[open], input:checked") !== null;
// Countdowns and form tokens change with every answer; they are no news.
const text = (part) => part.textContent.replace(/\s+/g, " ");

let shown = new Map([...parts()].map(([name, part]) => [name, text(part)]));
let asked = false;
let waiting = false;

async function refresh() {
  if (document.hidden) {
    waiting = true;
    return;
  }
  const headers = { Accept: "text/html", "X-XSRFToken": token };
  const answer = await fetch(location.pathname, { headers, redirect: "manual" });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const coming = [...fresh.querySelectorAll("[data-live]")];
  const here = parts();
  for (const [name, part] of here) {
    if (!coming.some((one) => one.dataset.live === name) && !busy(part)) part.remove();
  }
  let before = null;
  for (const one of coming) {
    const old = here.get(one.dataset.live);
    const isNew = shown.get(one.dataset.live) !== text(one);
    if (!old) {
      const added = document.adoptNode(one);
      before ? before.after(added) : document.getElementById("main").prepend(added);
      before = added;
    } else if (isNew && !busy(old)) {
      const added = document.adoptNode(one);
      old.replaceWith(added);
      before = added;
    } else {
      before = old;
    }
  }
  const needs = fresh.title;
  if (needs !== document.title) {
    document.title = needs;
    document.getElementById("jq-status").textContent = needs;
  }
  shown = new Map([...parts()].map(([name, part]) => [name, text(part)]));
}

function soon() {
  // One refresh for a burst of events.
  if (asked) return;
  asked = true;
  setTimeout(() => {
    asked = false;
    refresh().catch(() => {});
  }, 300);
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && waiting) {
    waiting = false;
    soon();
  }
});

const stream = new EventSource(`${document.body.dataset.events}?_xsrf=${encodeURIComponent(token)}`);
for (const type of ["job.moved", "quota.changed", "device.changed", "approval.changed", "request.changed", "series.changed"]) {
  stream.addEventListener(type, soon);
}
