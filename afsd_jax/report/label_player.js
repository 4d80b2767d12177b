// Plays a video and knows the frame that it shows. Its time is that of the frame, so what is marked
// is what is seen. It plays a part again and again if it is given one. Times are seconds.

const SPEEDS = [0.1, 0.25, 0.5, 1, 1.5, 2, 4, 8];
const LATE_MS = 300; // after which a player that was sent to a frame shows no other
const REWINDS = 0.3; // seconds after a looped part at which the player goes back to its start

class FramePlayer {
  // place: the element that holds the video's; onTime(time, frame, playing).
  constructor(place, onTime, onMissing) {
    Object.assign(this, { place, onTime, onMissing, index: 0, rate: 1, loop: null });
  }

  // Opens a video at a time.
  open(url, frames, time = 0) {
    this.close();
    const element = document.createElement("video");
    Object.assign(element, { src: url, preload: "auto", playsInline: true, muted: !this.loud });
    element.ariaLabel = "video";
    element.addEventListener("click", () => this.toggle());
    this.place.prepend(element);
    // shift: of the player's times; a file's first frame may have any time.
    Object.assign(this, { element, frames, index: frames.at(time), shift: null, goal: null });
    this.shown = null;
    this.player = new Player(element, (seconds, playing) => this.at(seconds, playing), this.onMissing);
    this.watch(element);
    this.setRate(this.rate);
    this.show(this.index);
  }

  close() {
    if (!this.element) return;
    this.element.pause();
    this.element.removeAttribute("src");
    this.element.load();
    this.element.remove();
    this.element = this.player = null;
  }

  get playing() {
    return Boolean(this.player?.playing);
  }

  get time() {
    return this.frames ? this.frames.times[this.index] : 0;
  }

  // Tells the frame that is on the screen, whatever the player was asked for. The first one that
  // it shows says how its times differ from the file's.
  watch(element) {
    const told = (_, { mediaTime }) => {
      if (element !== this.element) return;
      element.requestVideoFrameCallback(told);
      if (this.shift === null) {
        [this.shift, this.shown] = [mediaTime - this.frames.times[0], 0];
        if (this.index) this.goTo(this.index);
        return;
      }
      this.shown = this.frames.nearest(mediaTime - this.shift);
      // On the way to a frame others may be shown, of earlier steps.
      if (this.goal === null || this.shown === this.goal || this.playing) this.arrive();
    };
    element.requestVideoFrameCallback(told);
    element.addEventListener("seeked", () => {
      clearTimeout(this.late);
      if (element !== this.element || this.shift === null) return;
      this.late = setTimeout(() => element.seeking || this.arrive(), LATE_MS);
    });
  }

  // Takes the frame on the screen as the current one.
  arrive() {
    this.goal = null;
    this.show(this.shown);
  }

  at(seconds, playing) {
    if (playing && this.loop) {
      const { start, end } = this.loop, time = seconds - this.shift;
      const over = time >= end || seconds > this.element.duration - 0.01 || time < start - REWINDS;
      if (over) this.element.currentTime = this.frames.middle(this.frames.at(start)) + this.shift;
    }
    this.onTime(this.time, this.index, playing);
  }

  show(index) {
    this.index = index;
    this.onTime(this.time, index, this.playing);
  }

  seek(time) {
    this.goTo(this.frames.at(time));
  }

  goTo(index) {
    clearTimeout(this.late);
    this.index = this.goal = this.frames.clamp(index);
    // Before the first frame is shown there is nothing to seek in; `watch` does it then.
    if (this.player && this.shift !== null)
      this.player.seek(this.frames.middle(this.index) + this.shift);
    else this.show(this.index);
  }

  step(count) {
    if (this.playing) this.element.pause();
    this.goTo(this.index + count);
  }

  toggle() {
    if (!this.playing && this.index === this.frames.times.length - 1) this.goTo(0);
    this.player?.toggle();
  }

  // Repeats a part from its start; null: no more.
  repeat(part) {
    this.loop = part;
    if (!part || !this.player) return;
    this.seek(part.start);
    this.element.play().catch(() => {});
  }

  setRate(rate) {
    this.rate = rate;
    if (this.element) this.element.playbackRate = this.element.defaultPlaybackRate = rate;
  }

  // One step faster (1) or slower (-1); returns the speed.
  speed(direction) {
    const place = SPEEDS.indexOf(this.rate) + direction;
    this.setRate(SPEEDS[Math.min(Math.max(place, 0), SPEEDS.length - 1)]);
    return this.rate;
  }

  setLoud(loud) {
    this.loud = loud;
    if (this.element) this.element.muted = !loud;
  }
}
