// Suggestions of the open video: the next and previous by uncertainty, and all from a score on.

class SuggestionBar {
  constructor(root) {
    Object.assign(this, { root, ordered: [] });
    this.slider = part("input", root);
    this.slider.addEventListener("input", () => this.paint());
  }

  show(suggestions) {
    this.ordered = mostUncertainFirst(suggestions);
    this.root.hidden = !this.ordered.length;
    this.paint();
  }

  get least() {
    return Number(this.slider.value);
  }

  get reaching() {
    return this.ordered.filter(({ score }) => score >= this.least);
  }

  paint() {
    const count = this.reaching.length;
    part(".count", this.root).textContent = counted(this.ordered.length, "suggestion");
    part("output", this.root).textContent = this.least.toFixed(2);
    const button = part("[data-do=accept-all]", this.root);
    button.textContent = `accept ${grouped(count)}`;
    button.disabled = !count;
  }

  // The next (1) or previous (-1) suggestion after one; the most uncertain without one.
  beside(item, direction) {
    const place = this.ordered.findIndex(({ id }) => id === item?.id), { length } = this.ordered;
    return place < 0 ? this.ordered[0] : this.ordered[(place + direction + length) % length];
  }

  // The suggestion to look at after one that is decided, as the list was before.
  after(item) {
    const next = this.beside(item, 1);
    return next && next.id !== item.id ? next : null;
  }
}
