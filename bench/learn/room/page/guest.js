// A phone of the room: a closed loop of one visitor for each lane.
import { make, time } from "/lanes/lanes.js";

const PAUSE_MS = 200;
const element = (id) => document.getElementById(id);
const base = location.pathname.replace(/[^/]*$/, "");
let again = false;

async function visit(lane, cell) {
  const since = performance.now();
  const waiting = setInterval(() => (cell.textContent = `${time(performance.now() - since)} …`), 100);
  const answer = await fetch(`${base}visit`, { method: "POST", body: JSON.stringify({ lane }) }).catch(() => null);
  clearInterval(waiting);
  const said = await answer?.json().catch(() => ({}));
  cell.textContent = answer?.ok ? time(said.took_ms) : said?.error ?? "no answer";
  await new Promise((done) => setTimeout(done, PAUSE_MS));
  if (again) visit(lane, cell);
}

async function begin() {
  const answer = await fetch(`${base}lanes`).catch(() => null);
  if (!answer?.ok) return void (element("says").textContent = "The room does not answer.");
  const cells = (await answer.json()).map((name) => {
    const cell = make("td", { textContent: "–" });
    return [make("tr", {}, make("td", { textContent: name }), cell), cell];
  });
  element("lanes").replaceChildren(...cells.map(([row]) => row));
  element("says").textContent = "";
  cells.forEach(([, cell], lane) => visit(lane, cell));
}

element("once").onclick = () => {
  again = false;
  element("again").ariaPressed = "false";
  begin();
};
element("again").onclick = () => {
  again = !again;
  element("again").ariaPressed = String(again);
  if (again) begin();
};
