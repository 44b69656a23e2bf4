// One lane's stage on a canvas: a dot for each request, in the place where the last sample saw it.
// A dot moves only from the place of one sample to that of the next. With reduced motion it jumps.

// Letters as in places.py. A visitor without a request is outside.
const ZONES = [
  { letter: "o", name: "visitors", share: 0.12 },
  { letter: "q", name: "accept queue", share: 0.14 },
  { letter: "s", name: "accepted, waiting", share: 0.16 },
  { letter: "a", name: "in Django, around the view", share: 0.14 },
  { letter: "i", name: "in the view", share: 0.2 },
  { letter: "b", name: "answered, on its way back", share: 0.1 },
];
const MOVE_MS = 90, FADE_MS = 350;
const MOST_FLIGHTS = 400;
const HISTORY_S = 30;
const MOST_PITCH = 22, LEAST_PITCH = 4;
const MOST_SLOTS_DRAWN = 64;

const still = matchMedia("(prefers-reduced-motion: reduce)");

export class Stage {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.dots = new Map();
    this.flights = [];
    this.seats = Object.fromEntries(ZONES.map(({ letter }) => [letter, []]));
    this.history = [];
    this.drawn = 0;
    this.resizer = new ResizeObserver(() => this.fit());
    this.resizer.observe(canvas.parentElement);
    this.loop = requestAnimationFrame((now) => this.draw(now));
  }

  close() {
    cancelAnimationFrame(this.loop);
    this.resizer.disconnect();
  }

  fit() {
    const { clientWidth: width, clientHeight: height } = this.canvas.parentElement, ratio = devicePixelRatio || 1;
    Object.assign(this.canvas, { width: width * ratio, height: height * ratio });
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.width = width;
    this.height = height;
    this.unit = Math.max(11, Math.min(height / 21, width / 17));
    let top = 0;
    this.zones = ZONES.map((zone) => {
      const tall = zone.share * height, label = this.unit * 1.35;
      const placed = { ...zone, top, tall, fieldTop: top + label, fieldTall: Math.max(4, tall - label - 4) };
      top += tall;
      return placed;
    });
    this.chart = { top: top + this.unit * 0.2, tall: height - top - this.unit * 0.2 };
    this.byLetter = Object.fromEntries(this.zones.map((zone) => [zone.letter, zone]));
    for (const dot of this.dots.values()) this.place(dot, true);
  }

  show(lane, frame) {
    this.lane = lane;
    this.frame = frame;
    if (!this.zones) this.fit();
    const count = (lane.places?.length ?? 0) + lane.leavers.length + lane.guests.length;
    this.spread(Math.max(1, count));
    this.history.push([frame.at_s, lane.per_s, lane.limit_per_s]);
    if (this.history.length > 1 && this.history.at(-2)[0] > frame.at_s) this.history.splice(0, this.history.length - 1);
    while (this.history[0][0] < frame.at_s - HISTORY_S) this.history.shift();
    if (!this.dense) this.follow(lane);
  }

  // One size of dots for all zones, so that each zone has room for everybody.
  spread(count) {
    const slots = this.lane.slots;
    if (count === this.spreadFor && slots === this.slots && this.spreadIn === this.width * this.height) return;
    Object.assign(this, { spreadFor: count, slots, spreadIn: this.width * this.height });
    const wide = this.width - 8;
    const large = this.zones.filter(({ letter }) => letter !== "b");  // where hardly ever more than a few are
    const fits = (pitch) => large.every((zone) => Math.floor(wide / pitch) * Math.max(1, Math.floor(zone.fieldTall / pitch)) >= count);
    let pitch = MOST_PITCH;
    while (pitch > LEAST_PITCH && !fits(pitch)) pitch -= 0.5;
    this.pitch = pitch;
    this.columns = Math.max(1, Math.floor(wide / pitch));
    this.dense = !fits(pitch);
    if (this.dense) this.dots.clear();
    for (const dot of this.dots.values()) this.place(dot, true);
  }

  follow(lane) {
    const answers = lane.answers ?? "", now = new Map();
    for (let index = 0; index < lane.places.length; index++) {
      if (Number(answers[index]) > 0) this.answered(`v${index}`);
      now.set(`v${index}`, [lane.places[index], "visitor"]);
    }
    for (const [number, letter] of lane.leavers) now.set(`l${number}`, [letter, "leaver"]);
    for (const [number, letter] of lane.guests) now.set(`g${number}`, [letter, "guest"]);
    // All who leave a place first: a seat is free before somebody else takes it.
    for (const [key, dot] of this.dots) {
      if (!now.has(key)) {
        if (dot.kind === "guest") this.answered(key);
        else this.forget(dot);
      } else if (now.get(key)[0] !== dot.letter) this.rise(dot);
    }
    for (const [key, [letter, kind]] of now) this.put(key, letter, kind);
  }

  // The request of this dot was answered: it flies out, and the visitor's next one begins outside.
  answered(key) {
    const dot = this.dots.get(key);
    if (!dot) return;
    const [x, y] = this.at(dot, performance.now());
    if (this.flights.length < MOST_FLIGHTS) this.flights.push({ x, y, since: performance.now() });
    this.forget(dot);
  }

  forget(dot) {
    this.leaveSeat(dot);
    this.dots.delete(dot.key);
  }

  // It leaves its seat, and moves from where it is drawn now.
  rise(dot) {
    [dot.fromX, dot.fromY] = this.at(dot, performance.now());
    dot.since = performance.now();
    this.leaveSeat(dot);
  }

  put(key, letter, kind) {
    let dot = this.dots.get(key);
    if (!dot) {
      // A request whose client hung up stays where it is; any other begins outside.
      dot = { key, kind, letter: kind === "leaver" ? letter : "o", seat: -1 };
      this.dots.set(key, dot);
      this.place(dot, true);
      if (dot.letter !== letter) this.rise(dot);
    }
    dot.letter = letter;
    if (dot.seat < 0) this.place(dot, false);
  }

  leaveSeat(dot) {
    if (this.seats[dot.letter]?.[dot.seat] === dot.key) delete this.seats[dot.letter][dot.seat];
    dot.seat = -1;
  }

  place(dot, atOnce) {
    if (dot.seat < 0) {
      const seats = this.seats[dot.letter];
      let seat = 0;
      while (seats[seat] !== undefined) seat++;
      seats[seat] = dot.key;
      dot.seat = seat;
    }
    const zone = this.byLetter[dot.letter], pitch = this.pitch ?? MOST_PITCH, columns = this.columns ?? 10;
    const rows = Math.max(1, Math.floor(zone.fieldTall / pitch));
    dot.x = 4 + (dot.seat % columns + 0.5) * pitch;
    dot.y = zone.fieldTop + (Math.floor(dot.seat / columns) % rows + 0.5) * pitch;
    if (atOnce) Object.assign(dot, { fromX: dot.x, fromY: dot.y, since: 0 });
  }

  at(dot, now) {
    const part = still.matches ? 1 : Math.min(1, (now - dot.since) / MOVE_MS);
    return [dot.fromX + (dot.x - dot.fromX) * part, dot.fromY + (dot.y - dot.fromY) * part];
  }

  draw(now) {
    this.loop = requestAnimationFrame((next) => this.draw(next));
    if (!this.lane || !this.width) return;
    this.drawn++;
    const style = getComputedStyle(this.canvas);
    this.ink = style.color;
    this.accent = style.accentColor;
    this.pale = style.borderTopColor;
    this.context.clearRect(0, 0, this.width, this.height);
    for (const zone of this.zones) this.drawZone(zone);
    if (this.dense) this.drawDensity();
    else this.drawDots(now);
    this.drawFlights(now);
    this.drawChart();
  }

  count(letter) {
    const { places, leavers, guests } = this.lane;
    let count = [...leavers, ...guests].filter(([, each]) => each === letter).length;
    for (const each of places) if (each === letter) count++;
    return count;
  }

  drawZone(zone) {
    const { context: pen, unit } = this;
    pen.strokeStyle = this.pale;
    pen.lineWidth = 1;
    pen.strokeRect(0.5, zone.top + 0.5, this.width - 1, zone.tall - 3);
    pen.textBaseline = "top";
    pen.fillStyle = this.ink;
    pen.font = `${unit * 0.92}px system-ui, sans-serif`;
    pen.textAlign = "left";
    pen.fillText(this.label(zone), 5, zone.top + 3);
    pen.textAlign = "right";
    pen.font = `700 ${unit * 1.25}px system-ui, sans-serif`;
    pen.fillText(String(this.count(zone.letter)), this.width - 6, zone.top + 2);
    if (zone.letter === "i") this.drawSlots(zone);
  }

  label(zone) {
    if (zone.letter !== "i") return zone.name;
    const { slots } = this.lane;
    const where = slots ? (slots === 1 ? "one at a time" : `${slots} slots`) : "no bound";
    const waits = { upstream: " · at the upstream", database: " · at the database", stream: " · streams" }[this.frame.settings.behind] ?? "";
    const open = this.frame.settings.behind === "database" && this.frame.connections != null ? ` (${this.frame.connections} connections)` : "";
    return `${zone.name}: ${where}${waits}${open}`;
  }

  // An outline for each thread that could be in the view: the pool is full when each has a dot.
  drawSlots(zone) {
    const { slots } = this.lane;
    if (!slots || slots > MOST_SLOTS_DRAWN || this.dense) return;
    for (let seat = 0; seat < slots; seat++) {
      const x = 4 + (seat % this.columns) * this.pitch, y = zone.fieldTop + Math.floor(seat / this.columns) * this.pitch;
      this.context.strokeRect(x + 1, y + 1, this.pitch - 2, this.pitch - 2);
    }
  }

  drawDots(now) {
    const { context: pen } = this, radius = this.pitch * 0.36;
    pen.lineWidth = Math.max(1, radius * 0.35);
    const groups = { visitor: new Path2D(), leaver: new Path2D(), guest: new Path2D() };
    for (const dot of this.dots.values()) {
      const [x, y] = this.at(dot, now), path = groups[dot.kind];
      if (dot.kind === "guest") path.rect(x - radius, y - radius, 2 * radius, 2 * radius);
      else path.moveTo(x + radius, y), path.arc(x, y, radius, 0, 2 * Math.PI);
    }
    pen.fillStyle = this.accent;
    pen.fill(groups.visitor);
    pen.strokeStyle = this.ink;
    pen.stroke(groups.leaver);
    pen.fillStyle = this.ink;
    pen.fill(groups.guest);
  }

  drawDensity() {
    const { context: pen } = this, all = Math.max(1, this.lane.places.length);
    pen.fillStyle = this.accent;
    for (const zone of this.zones) pen.fillRect(4, zone.fieldTop, (this.width - 8) * Math.min(1, this.count(zone.letter) / all), zone.fieldTall);
  }

  drawFlights(now) {
    const { context: pen } = this;
    if (still.matches) this.flights.length = 0;
    this.flights = this.flights.filter(({ since }) => now - since < FADE_MS);
    pen.fillStyle = this.accent;
    for (const { x, y, since } of this.flights) {
      const part = Math.max(0, (now - since) / FADE_MS);
      pen.globalAlpha = 1 - part;
      const radius = (this.pitch ?? 8) * 0.3;
      pen.beginPath();
      pen.arc(x, y + (this.chart.top - y) * part, radius, 0, 2 * Math.PI);
      pen.fill();
    }
    pen.globalAlpha = 1;
  }

  // Measured (solid) beside theory's limit (dashed), over the last seconds.
  drawChart() {
    const { context: pen, unit } = this, { top, tall } = this.chart, label = unit * 1.15;
    const most = Math.max(1, ...this.history.map(([, measured, limit]) => Math.max(measured ?? 0, limit ?? 0))) * 1.08;
    const last = this.history.at(-1), x = (at) => this.width * (1 - (last[0] - at) / HISTORY_S), y = (value) => top + tall - 2 - (tall - label - 2) * (value / most);
    const line = (place) => {
      pen.beginPath();
      let drawing = false;
      for (const point of this.history) {
        if (point[place] == null) { drawing = false; continue; }
        if (drawing) pen.lineTo(x(point[0]), y(point[place]));
        else pen.moveTo(x(point[0]), y(point[place]));
        drawing = true;
      }
      pen.stroke();
    };
    pen.lineWidth = 2;
    pen.strokeStyle = this.ink;
    pen.setLineDash([6, 4]);
    line(2);
    pen.setLineDash([]);
    pen.lineWidth = 3;
    pen.strokeStyle = this.accent;
    line(1);
    pen.fillStyle = this.ink;
    pen.font = `${unit * 0.92}px system-ui, sans-serif`;
    pen.textAlign = "left";
    pen.textBaseline = "top";
    const number = (value) => (value == null ? "–" : value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en"));
    pen.fillText(`answers/s ${number(last[1])} · theory ┅ ${number(last[2])}`, 5, top + 1);
  }
}
