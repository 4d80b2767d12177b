// The selected label or suggestion: its class, ends, note, and what can be done with it.

class SelectedPanel {
  // onEdit(item, fields), called when a field is left with another value.
  constructor(root, onEdit) {
    Object.assign(this, { root, onEdit, item: null });
    this.form = part("form", root);
    this.form.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      document.activeElement.blur();
    });
    for (const name of ["start", "end"])
      this.field(name).addEventListener("change", () => {
        const seconds = secondsOf(this.field(name).value);
        if (this.item && seconds >= 0) onEdit(this.item, { [name]: seconds });
        this.show(this.item, this.color);
      });
    this.field("note").addEventListener("change", () => {
      if (this.item) onEdit(this.item, { note: this.field("note").value });
    });
  }

  field(name) {
    return this.form.elements[name];
  }

  // item: null if nothing is selected; hint: what to do then.
  show(item, color, hint = "") {
    Object.assign(this, { item, color });
    const suggested = item && isSuggestion(item);
    part("h3", this.root).hidden = this.form.hidden = !item;
    part(".none", this.root).hidden = Boolean(item) && !suggested;
    part(".of-segment", this.root).hidden = !item || suggested;
    part(".none", this.root).textContent = suggested ? `Suggested with score ${item.score.toFixed(2)}.` : hint;
    if (!item) return;
    part("h3", this.root).style.setProperty("--color", color);
    part(".title", this.root).textContent = item.label;
    const texts = { start: clock(item.start, 3), end: clock(item.end, 3), note: item.note ?? "" };
    for (const [name, text] of Object.entries(texts))
      if (document.activeElement !== this.field(name)) this.field(name).value = text;
  }
}
