// Mouse, touch and keyboard on the canvas.

const CLICK = 5; // pixels that a click may move

/** Call `moves` (orbit, pan, zoom, click, middle, home, addKey, screenshot, fullScreen, escape) as a person asks. */
export function watchControls(canvas, moves) {
  const fingers = new Map();
  let travelled = 0, many = false;

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture?.(event.pointerId);
    canvas.focus({ preventScroll: true });
    if (!fingers.size) [travelled, many] = [0, false];
    fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
    if (fingers.size > 1) many = true;
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const now = [event.offsetX, event.offsetY];
    const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
    travelled += Math.hypot(dx, dy);
    if (travelled <= CLICK && fingers.size === 1) { fingers.set(event.pointerId, now); return; }
    if (fingers.size >= 2) {
      const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
      const apart = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]) || 1;
      moves.zoom(apart(before) / apart(now));
      moves.pan(dx / 2, dy / 2);
    } else if (event.buttons & 6 || event.shiftKey) moves.pan(dx, dy);
    else moves.orbit(dx, dy);
    fingers.set(event.pointerId, now);
  });
  const lift = (event) => {
    const was = fingers.delete(event.pointerId);
    if (was && event.type === "pointerup" && !many && travelled <= CLICK && event.button === 0) {
      moves.click(event.offsetX, event.offsetY);
    }
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 20 : 1;
    moves.zoom(Math.exp(Math.max(-200, Math.min(200, event.deltaY * lines)) * 0.0015));
  }, { passive: false });

  const keys = {
    ArrowLeft: () => moves.orbit(24, 0), ArrowRight: () => moves.orbit(-24, 0),
    ArrowUp: () => moves.orbit(0, 24), ArrowDown: () => moves.orbit(0, -24),
    "+": () => moves.zoom(1 / 1.1), "=": () => moves.zoom(1 / 1.1), "-": () => moves.zoom(1.1),
    w: () => moves.pan(0, 30), s: () => moves.pan(0, -30), a: () => moves.pan(30, 0), d: () => moves.pan(-30, 0),
    Enter: () => moves.middle(),
  };
  canvas.addEventListener("keydown", (event) => {
    const action = keys[event.key] ?? keys[event.key.toLowerCase()];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  });
  const anywhere = {
    f: moves.fullScreen, p: moves.screenshot, h: moves.home, k: moves.addKey, Escape: moves.escape,
  };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, select, textarea, button, summary");
    if (event.ctrlKey || event.metaKey || event.altKey || (typing && event.key !== "Escape")) return;
    anywhere[event.key]?.();
  });
}
