// A recording of the room, played again: the lanes, and a bar to pause and to move in time.
import { Lanes, make, sentence } from "./lanes.js";
import { replay } from "./frames.js";

export class Bar {
  constructor(container, frames, show) {
    this.button = make("button", { type: "button", textContent: "play" });
    this.range = make("input", { type: "range", min: 0, max: 1000, step: 1, value: 0, ariaLabel: "time in the recording" });
    this.time = make("output");
    container.append(this.button, this.range, this.time);
    this.player = replay(frames, { frame: show, at: (at_s, length_s, running) => this.at(at_s, length_s, running) });
    this.button.onclick = () => this.player.toggle();
    this.range.oninput = () => this.player.move((this.range.value / 1000) * this.length_s);
    this.player.move(0);
  }

  at(at_s, length_s, running) {
    this.length_s = length_s;
    this.button.textContent = running ? "pause" : "play";
    this.range.value = length_s ? Math.round((1000 * at_s) / length_s) : 0;
    this.time.textContent = `${at_s.toFixed(1)} of ${length_s.toFixed(1)} s`;
  }
}

export class Player {
  constructor(container, recording) {
    container.classList.add("room", "player");
    const says = make("p", { className: "says" }), lanes = make("div"), bar = make("div", { className: "bar" });
    container.append(says, lanes, bar, make("p", { className: "made", textContent: made(recording) }));
    this.lanes = new Lanes(lanes);
    this.bar = new Bar(bar, recording.frames, (frame) => {
      this.lanes.show(frame);
      says.textContent = sentence(frame.settings);
    });
  }
}

export const made = ({ made_at, machine }) => `Recorded ${made_at}${machine.cpu ? ` on ${machine.cpu}` : ""}: real servers, real requests.`;
