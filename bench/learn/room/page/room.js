// The page: frames come in, controls go out. What is drawn is in lanes.js.
import { live } from "/lanes/frames.js";
import { Lanes, make } from "/lanes/lanes.js";
import { Bar, made } from "/lanes/player.js";
import { Controls } from "./controls.js";
import { useKeys } from "./keys.js";
import { LaneChoice } from "./lane_choice.js";
import { Scenes } from "./scenes.js";
import { SlowMotion } from "./slow_motion.js";

const element = (id) => document.getElementById(id);
const base = location.pathname.replace(/[^/]*$/, "");
const say = (text) => {
  if (element("link").textContent !== text) element("link").textContent = text;
};

async function post(what, data) {
  if (recorded) return;
  const answer = await fetch(base + what, { method: "POST", body: JSON.stringify(data) }).catch(() => null);
  if (answer?.ok) return;
  const refusal = answer ? await answer.text() : "";
  refused = { text: refusal.startsWith("{") ? JSON.parse(refusal).error : refusal || "The room does not answer.", until: performance.now() + 6000 };
}

const { scenes: known, recording: recorded, guests, stacks } = await (await fetch(`${base}about`)).json();
let refused = null;
const change = (settings) => post("change", settings);
const lanes = new Lanes(element("lanes"), { announce: (text) => (element("announce").textContent = text) });
const scenes = new Scenes(element, change, (scene, text) => post("predict", { scene, text }));
const slow = new SlowMotion(element("slow"), base, () => post("slow_motion", {}));
scenes.scenes = known;

function show(frame) {
  lanes.show(frame);
  controls?.show(frame);
  choice?.show(frame);
  scenes.show(frame);
}

let controls = null, choice = null, bar = null;
if (recorded) {
  const recording = await (await fetch(`${base}recording`)).json();
  element("bar").hidden = false;
  element("said").disabled = true;
  slow.kept = recording.traced.length ? recording.traced : null;
  bar = new Bar(element("bar"), recording.frames, show);
  say(made(recording));
} else {
  choice = new LaneChoice(element("choose"), stacks, change);
  controls = new Controls(element("controls"), change, () => choice.toggle());
  live(`${base}frames`, {
    frame(frame) {
      show(frame);
      slow.show(frame);
      say((refused && refused.until > performance.now() && refused.text) || frame.notice || frame.cores);
    },
    state(text) {
      if (text) say(text);
      document.body.classList.toggle("away", text !== "");
    },
  });
}
if (!recorded) element("qr").append(make("img", { src: `${base}qr.svg`, alt: "QR code of the address below" }), make("p", { textContent: guests }));
useKeys({ scenes, controls, slow, bar, choice, qr: element("qr"), help: element("help"), said: element("said") });
