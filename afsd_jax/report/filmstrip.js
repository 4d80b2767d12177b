// Frames of a video above its timeline, each centred on its time; it stays within the strip at the
// ends. Frames out of view, and those that would cover the one before, are hidden.

const LOWEST = 36, HIGHEST = 90, APART = 3; // pixels

class Filmstrip {
  constructor(strip) {
    this.strip = strip;
    this.frames = [...strip.querySelectorAll("figure")].map((figure) => {
      const image = figure.querySelector("img");
      return { figure, time: Number(figure.dataset.time), aspect: image.width / image.height };
    });
  }

  // Places the frames as the timeline is now; all of them fit on a wide screen.
  place(timeline) {
    const { left, width, from, to } = timeline, across = width - left - PAD;
    const aspect = Math.max(...this.frames.map((frame) => frame.aspect));
    const fitting = (across / this.frames.length - APART) / aspect;
    const height = Math.min(Math.max(fitting, LOWEST), HIGHEST);
    let free = left;
    this.strip.style.setProperty("--height", `${height}px`);
    for (const { figure, time, aspect } of this.frames) {
      const wide = aspect * height, centre = timeline.x(time);
      const x = Math.min(Math.max(centre - wide / 2, left), left + across - wide);
      figure.hidden = time < from || time > to || x < free;
      if (figure.hidden) continue;
      figure.style.transform = `translateX(${x}px)`;
      free = x + wide + APART / 2;
    }
  }
}
