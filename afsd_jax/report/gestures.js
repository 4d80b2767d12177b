// Mouse, wheel and touch gestures on a timeline.

const CLICK = 5; // pixels; a longer movement is a drag

Timeline.prototype.gestures = function () {
  const { canvas, scroll } = this, held = new Map();
  let start = null, moved = 0; // distance in pixels from where the first finger touched
  let drag = null; // what the page does instead of moving the view

  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };

  const fingers = () => {
    const [a, b] = [...held.values()];
    return { size: Math.max(Math.hypot(a.x - b.x, a.y - b.y), 1), x: (a.x + b.x) / 2 };
  };

  const pan = (pixels) => {
    const seconds = this.timeAt(this.left) - this.timeAt(this.left + pixels);
    this.view(this.from + seconds, this.to + seconds);
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    drag?.cancel(); // by a second finger
    [start, moved] = held.size ? [start, moved] : [place(event), 0];
    drag = held.size ? null : this.take(start, event.pointerType === "touch");
    held.set(event.pointerId, place(event));
    canvas.setPointerCapture(event.pointerId);
  });

  canvas.addEventListener("pointermove", (event) => {
    const now = place(event), before = held.get(event.pointerId);
    if (!before) return this.point(now);
    if (held.size === 2) {
      const old = fingers();
      held.set(event.pointerId, now);
      const fresh = fingers();
      pan(fresh.x - old.x);
      this.zoom(old.size / fresh.size, this.timeAt(fresh.x));
      moved = Infinity;
      return;
    }
    moved = Math.max(moved, Math.hypot(now.x - start.x, now.y - start.y));
    if (moved <= CLICK) return;
    held.set(event.pointerId, now);
    this.hint.hidden = true;
    if (drag) return drag.move(now);
    pan(now.x - before.x);
    if (event.pointerType === "mouse") scroll.scrollTop -= now.y - before.y;
  });

  canvas.addEventListener("pointerup", (event) => {
    const ended = drag;
    if (!held.delete(event.pointerId)) return;
    drag = null;
    if (moved > CLICK) return ended?.drop(place(event));
    const { x, y } = place(event);
    const time = Math.min(Math.max(this.timeAt(x), 0), this.video.duration);
    this.onPick(this.segmentAt(x, y), time);
  });
  canvas.addEventListener("pointercancel", (event) => {
    held.delete(event.pointerId);
    drag?.cancel();
    drag = null;
  });
  canvas.addEventListener("pointerleave", () => (this.hint.hidden = true));

  canvas.addEventListener("wheel", (event) => {
    const { x } = place(event), whole = this.to - this.from >= this.video.duration;
    const aside = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
    // If the whole video is visible, zooming out or sideways scrolls the page instead.
    if (whole && (aside || event.deltaY > 0)) return;
    event.preventDefault();
    if (aside) pan(-(event.deltaX || event.deltaY));
    else this.zoom(Math.exp(Math.min(Math.max(event.deltaY, -200), 200) / 300), this.timeAt(x));
  }, { passive: false });
};

// Begins a drag of a segment at a point: an object with move(place), drop(place) and cancel(). With
// null, dragging moves the view.
Timeline.prototype.take = function () {
  return null;
};

// The best segment at a point, else one at most some pixels away, else null.
Timeline.prototype.segmentAt = function (x, y) {
  const down = y - AXIS + this.scroll.scrollTop;
  const lane = this.lanes.find(({ top, height }) => down >= top && down < top + height);
  if (x < this.left || y < AXIS || !lane) return null;
  for (const near of [0, 4])
    for (const segments of [lane.truth, lane.shown])
      for (const segment of segments) {
        const [left, top, width, height] = this.place(segment);
        const beside = x < left - near || x > left + width + near;
        if (!beside && y >= top - near && y <= top + height + near) return segment;
      }
  return null;
};

// Describes the segment under the pointer.
Timeline.prototype.point = function ({ x, y }) {
  const segment = this.segmentAt(x, y);
  this.canvas.style.cursor = segment ? "pointer" : "grab";
  this.hint.hidden = !segment;
  if (!segment) return;
  this.hint.textContent = describe(segment, this.classes);
  this.hint.style.left = Math.min(x + 12, this.width - this.hint.offsetWidth) + "px";
  this.hint.style.top = y + 16 + "px";
};
