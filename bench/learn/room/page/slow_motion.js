// One request in slow motion: the hops of a traced request, lane by lane, all on one time scale.
import { make } from "/lanes/lanes.js";

const LASTS_S = 12;
const still = matchMedia("(prefers-reduced-motion: reduce)");

export class SlowMotion {
  constructor(dialog, base, ask) {
    Object.assign(this, { dialog, base, ask, number: null, lanes: [], kept: null });
    dialog.onclose = () => cancelAnimationFrame(this.timer);
  }

  toggle() {
    if (this.dialog.open) this.dialog.close();
    else if (this.kept) this.dialog.showModal(), this.play(this.kept);
    else this.open();
  }

  open() {
    this.dialog.replaceChildren(make("p", { className: "wait", textContent: "One request is traced through each lane …" }));
    this.dialog.showModal();
    this.ask();
  }

  // A new trace is there: every browser plays it.
  async show({ slow_motion: number }) {
    if (number === this.number) return;
    const isFirst = this.number === null;
    this.number = number;
    if (!number || (isFirst && !this.dialog.open)) return;
    const answer = await fetch(`${this.base}slow_motion`).catch(() => null);
    if (!answer?.ok) return;
    const traced = await answer.json();
    if (!this.dialog.open) this.dialog.showModal();
    this.play(traced);
  }

  play(traced) {
    cancelAnimationFrame(this.timer);
    const longest = Math.max(1, ...traced.map(({ trace }) => trace?.took_us ?? 0));
    this.lanes = traced.map((each) => new Track(each, longest));
    this.dialog.replaceChildren(
      make("div", { className: "tracks" }, ...this.lanes.map(({ element }) => element)),
      make("p", { className: "hint", textContent: `${(longest / 1000).toFixed(1)} ms, shown in ${LASTS_S} s · s or Esc closes` }),
    );
    for (const lane of this.lanes) lane.fit();
    const began = performance.now();
    const step = (now) => {
      const part = still.matches ? 1 : Math.min(1, Math.max(0, now - began) / 1000 / LASTS_S);
      for (const lane of this.lanes) lane.draw(part * longest);
      if (part < 1) this.timer = requestAnimationFrame(step);
    };
    step(began);
  }
}

class Track {
  constructor({ stack, colour, trace, error }, longest) {
    Object.assign(this, { trace, longest, error });
    this.canvas = make("canvas", { ariaHidden: "true" });
    this.count = make("strong", { textContent: "0" });
    this.now = make("p", { className: "now", textContent: error ?? "" });
    const hops = trace ? trace.crossings.length : 0;
    const summary = trace ? `${hops} hop${hops === 1 ? "" : "s"}, ${trace.threads} thread${trace.threads === 1 ? "" : "s"}, ${(trace.took_us / 1000).toFixed(1)} ms` : "";
    this.element = make("section", { className: "track" }, make("h2", { textContent: stack }), make("p", { className: "hops" }, this.count, " of ", `${hops} hops`), this.now, make("div", { className: "field" }, this.canvas), make("p", { className: "unseen", textContent: summary }));
    this.element.style.setProperty("--lane", colour);
  }

  fit() {
    const { clientWidth: width, clientHeight: height } = this.canvas.parentElement, ratio = devicePixelRatio || 1;
    Object.assign(this.canvas, { width: width * ratio, height: height * ratio });
    Object.assign(this, { width, height });
    this.pen = this.canvas.getContext("2d");
    this.pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  }

  // Time goes down. A hop leaves its lane when it is asked for, works on the other, and comes back.
  draw(at_us) {
    const { pen, width, height, trace } = this;
    if (!trace) return;
    const style = getComputedStyle(this.canvas), unit = Math.max(12, Math.min(20, width / 18)), top = unit * 1.8;
    const x = (lane) => (width * (lane + 0.5)) / trace.lanes.length, y = (us) => top + (height - top - 6) * (us / this.longest);
    pen.clearRect(0, 0, width, height);
    pen.font = `600 ${unit}px system-ui, sans-serif`;
    pen.textAlign = "center";
    pen.textBaseline = "top";
    trace.lanes.forEach((name, lane) => {
      pen.fillStyle = style.color;
      pen.fillText(name, x(lane), 2, width / trace.lanes.length - 6);
      stroke(pen, style.borderTopColor, 2, [x(lane), top], [x(lane), y(Math.min(at_us, trace.took_us))]);
    });
    const asked = trace.crossings.filter((hop) => hop.asked_us <= at_us);
    for (const hop of asked) this.drawHop(hop, at_us, x, y, style);
    if (this.count.textContent !== String(asked.length)) this.count.textContent = asked.length;
    const last = asked.at(-1);
    this.now.textContent = at_us >= trace.took_us ? "answered" : last ? last.what : "";
  }

  drawHop(hop, at_us, x, y, style) {
    const { pen } = this, to = hop.to_lane ?? hop.lane;
    const points = [[hop.asked_us, hop.lane], [hop.started_us, to], [hop.done_us, to], [hop.back_us, hop.lane]].filter(([us]) => us != null);
    let dot = null;
    points.forEach(([us, lane], index) => {
      const [next_us, next_lane] = points[index + 1] ?? [us, lane];
      if (us > at_us) return;
      const part = next_us > us ? Math.min(1, (at_us - us) / (next_us - us)) : 1;
      const here = [x(lane), y(us)], there = [x(lane) + (x(next_lane) - x(lane)) * part, y(us + (next_us - us) * part)];
      stroke(pen, style.accentColor, lane === next_lane ? 6 : 2, here, there);
      if (at_us < (hop.back_us ?? 0)) dot = there;
    });
    if (!dot) return;
    pen.fillStyle = style.color;
    pen.beginPath();
    pen.arc(...dot, 7, 0, 2 * Math.PI);
    pen.fill();
  }
}

function stroke(pen, colour, wide, from, to) {
  pen.strokeStyle = colour;
  pen.lineWidth = wide;
  pen.beginPath();
  pen.moveTo(...from);
  pen.lineTo(...to);
  pen.stroke();
}
