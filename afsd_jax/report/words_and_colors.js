// Times and segments as text; colours, #rrggbb.

const grouped = new Intl.NumberFormat("en").format; // 12,345

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

// Relative luminance, 0 to 1, as WCAG 2 defines it.
function luminance(color) {
  const [red, green, blue] = channels(color).map((value) => value / 255).map((share) =>
    share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

// White or black, whichever has more contrast; 0.179 is where both have 4.58.
function inkOn(color) {
  return luminance(color) > 0.179 ? "#000000" : "#ffffff";
}

function describe({ label, start, end, score }, classes) {
  const kind = score === null ? "true" : `score ${score.toFixed(3)}`;
  return `${classes[label].name}, ${clock(start)} to ${clock(end)}, ${kind}`;
}
