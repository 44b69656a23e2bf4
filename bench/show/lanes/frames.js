// Where frames come from: the room that is live, or a recording that is played again.

// EventSource reconnects by itself, also when the room's process has started again.
export function live(address, { frame, state }) {
  const source = new EventSource(address);
  source.onmessage = (event) => frame(JSON.parse(event.data));
  source.onopen = () => state("");
  source.onerror = () => state("The room does not answer. The page waits for it.");
  return () => source.close();
}

// Frames at their own pace from `start_s` on; returns a player that can pause and move.
export function replay(frames, { frame, at }) {
  const length = frames.length ? frames[frames.length - 1].at_s - frames[0].at_s : 0;
  let position = 0, since = performance.now(), running = false, shown = -1, timer = 0;
  const now = () => Math.min(length, position + (running ? (performance.now() - since) / 1000 : 0));
  function tick() {
    const due = frames.findLastIndex((each) => each.at_s - frames[0].at_s <= now() + 1e-6);
    if (due !== shown && due >= 0) {
      // A frame between tells which answers came; none is left out unless the reader moved.
      for (let next = due > shown && due - shown < 30 ? shown + 1 : due; next <= due; next++) frame(frames[next]);
      shown = due;
    }
    at?.(now(), length, running);
    if (running && now() >= length) { position = length; running = false; at?.(length, length, false); }
    if (running) timer = requestAnimationFrame(tick);
  }
  const player = {
    play() {
      if (running || !frames.length) return;
      if (now() >= length) player.move(0);
      since = performance.now(); running = true; tick();
    },
    pause() { position = now(); running = false; cancelAnimationFrame(timer); at?.(position, length, false); },
    move(seconds) { position = Math.max(0, Math.min(length, seconds)); since = performance.now(); shown = -1; tick(); },
    toggle() { running ? player.pause() : player.play(); },
  };
  return player;
}
