// The renderer: lanes side by side, each with its numbers, its stage and the measured rate beside theory's.
// Used by the page, by a replay in a report, and by lesson cells. It draws samples and invents nothing.
import { Stage } from "./stage.js";

const NUMBERS = [
  ["inside", "inside the view", (lane) => whole(lane.inside)],
  ["threads", "threads", (lane) => whole(lane.threads)],
  ["per_s", "answers/s", (lane) => rate(lane.per_s)],
  ["p99_ms", "p99 of 5 s", (lane) => time(lane.p99_ms)],
  ["cpu_share", "CPU", (lane) => (lane.cpu_share == null ? "–" : `${Math.round(100 * lane.cpu_share)} %`)],
  ["rss_bytes", "memory", (lane) => (lane.rss_bytes == null ? "–" : `${Math.round(lane.rss_bytes / 1e6)} MB`)],
];
const BIG = 2;
const STATES = { starting: "starts", dead: "dead", "not-run": "does not start" };

export const whole = (value) => (value == null ? "–" : value.toLocaleString("en"));
export const rate = (value) => (value == null ? "–" : value < 10 ? value.toFixed(1) : whole(Math.round(value)));
export const time = (ms) => (ms == null ? "–" : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

// The state of the room in a sentence, large enough for the last row.
export function sentence(settings) {
  const { visitors, wait_ms, cpu_ms, behind } = settings;
  const waits = { timer: `waits ${whole(wait_ms)} ms`, upstream: `asks the upstream for ${whole(wait_ms)} ms`, database: `runs a query of ${whole(wait_ms)} ms`, stream: "streams events" }[behind];
  return [
    `${whole(visitors)} visitor${visitors === 1 ? "" : "s"}`,
    `a view ${waits}`,
    cpu_ms && !settings.blocking && behind === "timer" ? `${cpu_ms} ms of CPU` : "",
    settings.blocking ? "time.sleep in place of await" : "",
    settings.middleware ? "seven middlewares" : "",
    settings.leaves ? "half hang up" : "",
    settings.database_away ? "the database is away" : "",
  ].filter(Boolean).join(" · ");
}

export function make(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export class Lanes {
  constructor(container, { announce = () => {} } = {}) {
    this.container = container;
    this.announce = announce;
    this.lanes = [];
    this.table = make("table", { className: "unseen" });
    this.tabled_s = -1;
    container.classList.add("lanes");
    container.append(this.table);
  }

  show(frame) {
    while (this.lanes.length > frame.lanes.length) this.lanes.pop().remove();
    while (this.lanes.length < frame.lanes.length) this.lanes.push(new Lane(this.container, this.table, this.announce));
    this.container.style.setProperty("--lanes", frame.lanes.length);
    frame.lanes.forEach((lane, index) => this.lanes[index].show(lane, frame));
    if (Math.abs(frame.at_s - this.tabled_s) >= 1) this.tell(frame);
  }

  // The same numbers as a table for screen readers, once a second.
  tell(frame) {
    this.tabled_s = frame.at_s;
    const head = make("tr", {}, make("th", { textContent: "stack", scope: "col" }));
    const names = [...NUMBERS.map(([, name]) => name), "accept queue", "answered", "failed", "the limit per second", "state", "environment"];
    head.append(...names.map((textContent) => make("th", { textContent, scope: "col" })));
    const rows = frame.lanes.map((lane) => {
      const values = [...NUMBERS.map(([, , text]) => text(lane)), whole(lane.accept_queue), whole(lane.answered), whole(lane.failed), rate(lane.limit_per_s), lane.state, lane.environment];
      return make("tr", {}, make("th", { textContent: lane.stack, scope: "row" }), ...values.map((textContent) => make("td", { textContent })));
    });
    this.table.replaceChildren(make("caption", { textContent: "The numbers of each lane now" }), make("thead", {}, head), make("tbody", {}, ...rows));
  }
}

class Lane {
  constructor(container, before, announce) {
    this.announce = announce;
    this.name = make("h2");
    this.lesson = make("p", { className: "lesson" });
    this.badge = make("p", { className: "badge", hidden: true });
    this.values = NUMBERS.map(([key]) => make("dd", { className: key }));
    const pairs = NUMBERS.map(([, label], index) => make("div", { className: index < BIG ? "big" : "small" }, this.values[index], make("dt", { textContent: label })));
    this.canvas = make("canvas", { ariaHidden: "true" });
    this.element = make("section", { className: "lane" }, make("div", { className: "head" }, this.name, this.lesson), make("dl", {}, ...pairs), make("div", { className: "stage" }, this.canvas), this.badge);
    container.insertBefore(this.element, before);
    this.stage = new Stage(this.canvas);
    this.state = "";
  }

  show(lane, frame) {
    set(this.name, lane.stack);
    set(this.lesson, lane.lesson);
    this.name.title = lane.environment;
    this.element.style.setProperty("--lane", lane.colour);
    this.element.ariaLabel = lane.stack;
    NUMBERS.forEach(([, , text], index) => set(this.values[index], text(lane)));
    if (lane.state !== this.state) this.became(lane);
    this.stage.show(lane, frame);
  }

  became(lane) {
    this.state = lane.state;
    this.element.dataset.state = lane.state;
    this.badge.hidden = lane.state === "serving";
    this.badge.textContent = [STATES[lane.state] ?? "", lane.message].filter(Boolean).join(": ");
    this.announce(`${lane.stack}: ${this.badge.textContent || "serves"}`);
  }

  remove() {
    this.stage.close();
    this.element.remove();
  }
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
