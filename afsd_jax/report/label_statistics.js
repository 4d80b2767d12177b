// What the project holds: figures, and labels by class.

class Statistics {
  constructor(root) {
    this.root = root;
  }

  // videos: of the project; statistics: of its labels, as the server counts them; colors: by class.
  show(videos, statistics, colors) {
    const sum = (field) => videos.reduce((total, video) => total + video[field], 0);
    const reviewed = videos.filter((video) => video.reviewed).length;
    const figures = {
      reviewed: `${grouped(reviewed)} of ${grouped(videos.length)}`, labels: grouped(sum("segments")),
      suggestions: grouped(sum("suggestions")), length: clock(sum("duration"), 0),
    };
    for (const [name, text] of Object.entries(figures))
      part(`[data-figure=${name}]`, this.root).textContent = text;
    const classes = statistics?.classes ?? [];
    const most = Math.max(...classes.map(({ count }) => count), 1);
    part(".statistics table", this.root).hidden = !classes.length;
    part(".statistics .none", this.root).hidden = classes.length > 0;
    part(".statistics tbody", this.root).replaceChildren(...classes.map((one) => {
      const style = { "--color": colors.get(one.name), "--share": `${(100 * one.count) / most}%` };
      const name = make("td", {}, make("span", { className: "dot" }),
        make("span", { className: "name", textContent: one.name }));
      const mean = one.count ? `${one.mean_s.toFixed(1)} s` : "–";
      const texts = [clock(one.total_s, 0), mean, grouped(one.videos)];
      return make("tr", { style }, name, make("td", { textContent: grouped(one.count) }),
        make("td", { className: "share" }, make("span", { className: "meter" })),
        ...texts.map((text) => make("td", { textContent: text })));
    }));
  }
}
