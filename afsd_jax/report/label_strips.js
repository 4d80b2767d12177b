// What lies above and below a timeline: the sound's waveform, in step with the view, and the whole
// video, where a frame shows and moves the view.

class Waveform {
  constructor(root, timeline) {
    Object.assign(this, { root, timeline, peaks: null });
    this.canvas = part("canvas", root);
  }

  // wave: {peaks, per_second}, or null without sound.
  show(wave) {
    this.wave = wave;
    this.root.hidden = !wave?.peaks.length;
    this.draw();
  }

  draw() {
    const { timeline, canvas, wave } = this;
    if (this.root.hidden || !timeline.theme) return;
    const { left, width, from, to } = timeline, across = width - left - PAD;
    const [pen, height] = penOf(canvas, width);
    pen.fillStyle = timeline.theme.muted;
    for (let x = 0; x < across; x++) {
      const [first, last] = [x, x + 1].map((at) =>
        Math.floor((from + ((to - from) * at) / across) * wave.per_second));
      let most = 0;
      for (let i = first; i <= Math.max(first, last - 1); i++) most = Math.max(most, wave.peaks[i] ?? 0);
      const tall = Math.max((most / 255) * height, 1);
      pen.fillRect(left + x, (height - tall) / 2, 1, tall);
    }
  }
}

class WholeVideo {
  constructor(root, timeline) {
    Object.assign(this, { root, timeline });
    this.canvas = part("canvas", root);
    const move = ({ clientX }) => {
      const box = this.canvas.getBoundingClientRect(), { left, video, from, to } = timeline;
      const share = (clientX - box.left - left) / (timeline.width - left - PAD);
      const middle = share * video.duration, half = (to - from) / 2;
      timeline.view(middle - half, middle + half);
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      move(event);
    });
    this.canvas.addEventListener("pointermove", (event) => event.buttons && move(event));
  }

  draw() {
    const { timeline, canvas } = this, { left, width, video, from, to, theme } = timeline;
    if (!theme) return;
    const across = width - left - PAD, x = (time) => left + (time / video.duration) * across;
    const [pen, height] = penOf(canvas, width);
    pen.fillStyle = theme.track;
    pen.fillRect(left, 0, across, height);
    for (const lane of timeline.lanes) {
      pen.fillStyle = timeline.classes[lane.label].color;
      for (const { start, end, hatched } of lane.shown) {
        pen.globalAlpha = hatched ? 0.35 : 0.9;
        const [top, tall] = hatched ? [height - 5, 2] : [3, height - 9];
        pen.fillRect(x(start), top, Math.max(x(end) - x(start), 1), tall);
      }
    }
    pen.globalAlpha = 1;
    pen.strokeStyle = theme.ink;
    pen.lineWidth = 1.5;
    pen.strokeRect(x(from) + 0.75, 0.75, Math.max(x(to) - x(from) - 1.5, 3), height - 1.5);
    pen.fillStyle = theme.ink;
    pen.fillRect(x(timeline.time) - 0.5, 0, 1.5, height);
  }
}

// A canvas' pen for pixels of the page, and its height.
function penOf(canvas, width) {
  const scale = devicePixelRatio || 1, height = canvas.clientHeight;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  return [pen, height];
}
