// Plays segments of one video, if it has a file, and stops at their ends. A file that the browser
// cannot play is replaced by its copy, `data-copy`, if somebody has made it.
class Player {
  constructor(element, onTime, onMissing) {
    Object.assign(this, { element, onTime, time: 0, end: null, goal: null });
    if (!element) return;
    const tick = () => {
      this.time = element.currentTime;
      if (this.end !== null && this.time >= this.end) {
        this.end = null;
        element.pause();
      }
      onTime(this.time, this.playing);
      if (this.playing) requestAnimationFrame(tick);
    };
    for (const event of ["play", "timeupdate", "seeked"]) element.addEventListener(event, tick);
    element.addEventListener("seeking", () => {
      if (Math.abs(element.currentTime - this.goal) > 0.01) this.end = null; // the reader moved
    });
    element.addEventListener("error", () => {
      const { copy } = element.dataset;
      if (copy && element.getAttribute("src") !== copy) {
        element.src = copy;
        element.currentTime = this.time;
        return;
      }
      this.element = null;
      onMissing();
    });
    new IntersectionObserver(([entry]) => {
      if (entry.isIntersecting) element.preload = "metadata";
    }).observe(element);
  }

  get playing() {
    return Boolean(this.element) && !this.element.paused;
  }

  seek(time, end = null) {
    this.time = this.goal = time;
    this.end = end;
    if (this.element) this.element.currentTime = time;
    this.onTime(time, false);
  }

  play(start, end) {
    this.seek(start, end);
    this.element?.play().catch(() => {}); // the browser may refuse; the reader can press play
  }

  toggle() {
    if (this.playing) this.element.pause();
    else this.element?.play().catch(() => {});
  }
}
