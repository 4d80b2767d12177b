// Times and segments as text; colours, #rrggbb.

function clock(seconds, digits = 1) {
  const unit = 10 ** digits, total = Math.round(seconds * unit);
  const whole = Math.floor(total / unit), minutes = Math.floor(whole / 60) % 60;
  const hours = Math.floor(whole / 3600), two = (n) => String(n).padStart(2, "0");
  const rest = digits ? "." + String(total % unit).padStart(digits, "0") : "";
  return (hours ? `${hours}:${two(minutes)}` : `${minutes}`) + `:${two(whole % 60)}${rest}`;
}

const channels = (color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));

function mix(color, ground, share) {
  const below = channels(ground);
  const mixed = channels(color).map((value, i) => Math.round(below[i] + (value - below[i]) * share));
  return "#" + mixed.map((value) => value.toString(16).padStart(2, "0")).join("");
}

function inkOn(color) {
  const [red, green, blue] = channels(color);
  return 0.299 * red + 0.587 * green + 0.114 * blue > 158 ? "#1d2330" : "#ffffff";
}

function describe({ label, start, end, score }, classes) {
  const kind = score === null ? "true" : `score ${score.toFixed(3)}`;
  return `${classes[label].name}, ${clock(start)} to ${clock(end)}, ${kind}`;
}
