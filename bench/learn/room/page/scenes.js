// The scenes of a talk: the question, the room's prediction beside what came, and the speaker's text.
import { rate, sentence, whole } from "/lanes/lanes.js";

const SETTLE_S = 3;

export class Scenes {
  constructor(element, change, predict) {
    Object.assign(this, { element, change, predict, scenes: [], name: "", shown: false });
    element("predict").onsubmit = (event) => {
      event.preventDefault();
      this.say();
      element("said").blur();
    };
    element("said").onchange = () => this.say();
  }


  get index() {
    return this.scenes.findIndex((scene) => scene.name === this.name);
  }

  go(step) {
    const next = Math.max(-1, Math.min(this.scenes.length - 1, (this.going ?? this.index) + step));
    this.going = next;
    if (next >= 0) this.change(this.scenes[next].settings);
    else this.change({ scene: "" });
  }

  say() {
    if (this.name) this.predict(this.name, this.element("said").value);
  }

  notes() {
    const speaker = this.element("speaker");
    this.silent = !this.silent;
    speaker.hidden = this.silent || !this.name;
  }

  show(frame) {
    const { settings } = frame;
    const says = sentence(settings);
    if (this.element("says").textContent !== says) this.element("says").textContent = says;
    if (settings.scene !== this.name || !this.shown) this.enter(settings.scene, frame);
    const scene = this.scenes[this.index], said = this.element("said");
    if (!scene) return;
    if (document.activeElement !== said) said.value = settings.predictions[scene.name] ?? "";
    this.element("came").textContent = this.came(scene, frame);
  }

  enter(name, frame) {
    this.name = name;
    if (this.going === this.index) this.going = undefined;
    const scene = this.scenes[this.index];
    this.shown = name === "" || Boolean(scene);
    const { element } = this;
    element("question").hidden = !scene;
    element("speaker").hidden = !scene || Boolean(this.silent);
    element("title").textContent = scene ? `${this.index + 1}/${this.scenes.length} ${scene.title}` : "The room";
    element("asks").textContent = scene?.question ?? "";
    element("speaker").textContent = scene?.text ?? "";
    this.entered_s = frame.at_s;
  }

  // What came, once the servers have had a moment; a traced request has its own.
  came(scene, frame) {
    const lane = frame.lanes[scene.lane];
    if (!lane) return "–";
    if (scene.measured === "hops") return lane.hops == null ? "play it (s)" : whole(lane.hops);
    if (lane.state !== "serving" || frame.at_s - this.entered_s < SETTLE_S) return "…";
    if (scene.measured === "leavers") return whole(lane.leavers.filter(([, place]) => place === "i").length);
    return scene.measured === "per_s" ? rate(lane.per_s) : whole(lane[scene.measured]);
  }
}
