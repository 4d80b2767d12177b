// The frames of a video by their times. A segment starts and ends at times of frames, or at the end
// of the video. Times are seconds.

const ROUNDING = 1e-6; // of times in files, seconds

class Frames {
  // times: of all frames, in order; duration: of the video.
  constructor(times, duration) {
    this.times = times.length ? times : [0];
    this.duration = Math.max(duration, this.times.at(-1));
  }

  // The number of the frame that is shown at a time.
  at(time) {
    let low = 0, high = this.times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[middle] <= time + ROUNDING) low = middle + 1;
      else high = middle;
    }
    return Math.max(low - 1, 0);
  }

  // The number of the frame whose time is nearest.
  nearest(time) {
    const before = this.at(time), after = Math.min(before + 1, this.times.length - 1);
    return this.times[after] - time < time - this.times[before] ? after : before;
  }

  clamp(index) {
    return Math.min(Math.max(index, 0), this.times.length - 1);
  }

  endOf(index) {
    return this.times[index + 1] ?? this.duration;
  }

  // Halfway through a frame: a player that is sent there shows it, whatever it rounds.
  middle(index) {
    return (this.times[index] + this.endOf(index)) / 2;
  }

  // The nearest time at which a segment can start or end.
  snap(time) {
    const near = this.times[this.nearest(time)];
    return this.duration - time < Math.abs(near - time) ? this.duration : near;
  }

  // A segment's ends on frames, in order, at least one frame apart.
  span(start, end) {
    [start, end] = [this.snap(Math.min(start, end)), this.snap(Math.max(start, end))];
    if (start >= this.duration) start = this.times.at(-1);
    return end > start ? [start, end] : [start, this.endOf(this.at(start))];
  }

  // A segment moved as a whole to a new start, within the video.
  moved({ start, end }, to) {
    const length = end - start, latest = Math.max(this.duration - length, 0);
    const first = this.snap(Math.min(Math.max(to, 0), latest));
    return this.span(first, Math.min(first + length, this.duration));
  }
}
