// The controls: each sends one change, and shows what the room's settings are, whoever changed them.
import { make } from "/lanes/lanes.js";

const VISITORS = [10, 100, 500];
// A slider has few steps, so that the keyboard moves it in steps that can be seen.
const SLIDERS = [
  ["wait_ms", "a view waits", "ms", [0, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000]],
  ["cpu_ms", "CPU of a view", "ms", [0, 1, 2, 5, 10, 20, 50, 100]],
  ["threads", "thread budget", "threads ↻", [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]],
];
const SWITCHES = [
  ["middleware", "7 middlewares ↻", "m"],
  ["blocking", "1 blocking line ↻", "b"],
  ["leaves", "clients leave", "l"],
  ["database_away", "database away", "d"],
];
const BEHIND = { timer: "waits for a timer", upstream: "waits for the upstream", database: "waits for the database", stream: "streams events" };
const SEND_AFTER_MS = 120;

export class Controls {
  constructor(container, change, chooseLanes) {
    this.change = change;
    this.visitors = VISITORS.map((count, index) => {
      const button = make("button", { type: "button", textContent: count, title: `key ${index + 1}` });
      button.onclick = () => change({ visitors: count });
      return button;
    });
    this.sliders = SLIDERS.map((slider) => this.slider(...slider));
    this.switches = SWITCHES.map(([name, label, key]) => {
      const button = make("button", { type: "button", textContent: label, title: `key ${key}` });
      button.onclick = () => this.toggle(name);
      return [name, button];
    });
    this.behind = make("select");
    for (const [value, textContent] of Object.entries(BEHIND)) this.behind.append(make("option", { value, textContent: textContent }));
    this.behind.ariaLabel = "what a view waits for (a change restarts the servers)";
    this.behind.onchange = () => change({ behind: this.behind.value });
    const lanes = make("button", { type: "button", textContent: "lanes …", title: "key v" });
    lanes.onclick = chooseLanes;
    container.append(
      group("visitors", ...this.visitors),
      ...this.sliders.map(({ element }) => element),
      group("", this.behind),
      group("", ...this.switches.map(([, button]) => button), lanes),
    );
  }

  slider(name, label, unit, steps) {
    const input = make("input", { type: "range", min: 0, max: steps.length - 1, step: 1 });
    const output = make("output");
    let timer = 0;
    const slider = { name, unit, steps, input, output, element: make("label", { className: "slider" }, `${label} `, output, input) };
    input.oninput = () => {
      slider.told(steps[input.value]);
      clearTimeout(timer);
      timer = setTimeout(() => this.change({ [name]: steps[input.value] }), SEND_AFTER_MS);
      slider.moved = performance.now();
    };
    slider.told = (value) => {
      output.textContent = `${value.toLocaleString("en")} ${unit}`;
      input.ariaValueText = output.textContent;
    };
    return slider;
  }

  toggle(name) {
    if (!this.settings) return;
    const value = !this.settings[name];
    this.change(name === "database_away" && value ? { behind: "database", [name]: true } : { [name]: value });
  }

  visit(index) {
    this.change({ visitors: VISITORS[index] });
  }

  show({ settings }) {
    this.settings = settings;
    this.visitors.forEach((button, index) => (button.ariaPressed = String(settings.visitors === VISITORS[index])));
    for (const [name, button] of this.switches) button.ariaPressed = String(settings[name]);
    for (const slider of this.sliders) {
      if (performance.now() - (slider.moved ?? -1e6) < 1000) continue;
      const value = settings[slider.name];
      slider.told(value);
      slider.input.value = nearest(slider.steps, value);
      slider.input.disabled = slider.name === "cpu_ms" && (settings.blocking || settings.behind !== "timer");
    }
    if (document.activeElement !== this.behind) this.behind.value = settings.behind;
  }
}

function nearest(steps, value) {
  return steps.reduce((best, step, index) => (Math.abs(step - value) < Math.abs(steps[best] - value) ? index : best), 0);
}

function group(label, ...children) {
  const element = make("div", { className: "group", role: "group" }, ...(label ? [make("span", { textContent: label })] : []), ...children);
  if (label) element.ariaLabel = label;
  return element;
}
