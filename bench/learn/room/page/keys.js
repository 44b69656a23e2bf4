// The keyboard, and what a presenter's remote sends (PageUp, PageDown).
import { make } from "/lanes/lanes.js";

const HELP = [
  ["→ or PageDown, ← or PageUp", "next scene, scene before"],
  ["p", "type what the room says; Enter keeps it"],
  ["1, 2, 3", "10, 100, 500 visitors"],
  ["b", "one blocking line, on and off"],
  ["m", "the seven middlewares, on and off"],
  ["l", "clients that leave, on and off"],
  ["d", "the database goes away and comes back"],
  ["s", "one request in slow motion"],
  ["v", "which stacks are the lanes"],
  ["q", "a QR code: phones become visitors"],
  ["n", "the speaker's text, on and off"],
  ["c", "the controls, on and off"],
  ["space", "in a recording: play and pause"],
  ["? or h", "this list"],
];

export function useKeys({ scenes, controls, slow, bar, choice, qr, help, said }) {
  help.append(make("dl", { className: "keys" }, ...HELP.flatMap(([key, does]) => [make("dt", { textContent: key }), make("dd", { textContent: does })])));
  const showHelp = () => (help.open ? help.close() : help.showModal());
  const played = bar && {
    " ": () => bar.player.toggle(), s: () => slow.kept && slow.toggle(), n: () => scenes.notes(), "?": showHelp, h: showHelp,
  };
  const does = played ?? {
    ArrowRight: () => scenes.go(1), PageDown: () => scenes.go(1),
    ArrowLeft: () => scenes.go(-1), PageUp: () => scenes.go(-1),
    1: () => controls.visit(0), 2: () => controls.visit(1), 3: () => controls.visit(2),
    b: () => controls.toggle("blocking"), m: () => controls.toggle("middleware"),
    l: () => controls.toggle("leaves"), d: () => controls.toggle("database_away"),
    s: () => slow.toggle(), n: () => scenes.notes(),
    c: () => document.body.classList.toggle("bare"),
    v: () => choice.toggle(),
    q: () => (qr.open ? qr.close() : qr.showModal()),
    p: () => said.focus(), "?": showHelp, h: showHelp,
  };
  document.addEventListener("keydown", (event) => {
    const { target, key } = event;
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (target.matches("input:not([type=range]), select")) {
      if (key === "Escape") target.blur();
      return;
    }
    if (target.matches("input[type=range]") && key.startsWith("Arrow")) return;
    if (!does[key]) return;
    event.preventDefault();
    does[key]();
  });
}
