// The page: frames come in, controls go out. What is drawn is in lanes.js.
import { Lanes } from "./lanes.js";
import { Controls } from "./controls.js";
import { Scenes } from "./scenes.js";
import { SlowMotion } from "./slow_motion.js";
import { live } from "./frames.js";
import { useKeys } from "./keys.js";

const element = (id) => document.getElementById(id);
const base = location.pathname.replace(/[^/]*$/, "");

async function post(what, data) {
  const answer = await fetch(base + what, { method: "POST", body: JSON.stringify(data) }).catch(() => null);
  if (answer?.ok) return;
  element("link").textContent = answer ? (await answer.json().catch(() => ({}))).error ?? (await answer.text()) : "The room does not answer.";
}

const change = (settings) => post("change", settings);
const lanes = new Lanes(element("lanes"), { announce: (text) => (element("announce").textContent = text) });
const controls = new Controls(element("controls"), change);
const scenes = new Scenes(element, change, (scene, text) => post("predict", { scene, text }));
const slow = new SlowMotion(element("slow"), base, () => post("slow_motion", {}));

live(base + "frames", {
  frame(frame) {
    lanes.show(frame);
    controls.show(frame);
    scenes.show(frame);
    slow.show(frame);
    element("link").textContent = frame.notice || frame.cores;
  },
  state(text) {
    element("link").textContent = text;
    document.body.classList.toggle("away", text !== "");
  },
});
scenes.load(base + "scenes");
useKeys({ scenes, controls, slow, help: element("help"), said: element("said") });
