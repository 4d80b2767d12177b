// The list of videos: searched by name and class, sorted by any column.

const body = document.querySelector("tbody"), headers = [...document.querySelectorAll("th")];
const rows = [...body.rows].map((row) => ({
  row,
  text: [...row.querySelectorAll("a, b")].map((part) => part.textContent.toLowerCase()).join("\n"),
  values: [...row.cells].map((cell) => cell.dataset.value),
}));
const collator = new Intl.Collator("en", { numeric: true }); // clip 2 before clip 10

function sort(column, descending) {
  const sign = descending ? -1 : 1;
  rows.sort((a, b) => sign * collator.compare(a.values[column], b.values[column]));
  body.append(...rows.map(({ row }) => row));
  headers.forEach((header, i) => {
    header.ariaSort = i !== column ? "none" : descending ? "descending" : "ascending";
  });
}

headers.forEach((header, column) => {
  const numbers = column === 1 || column === 2; // the largest first
  header.querySelector("button").addEventListener("click", () => {
    const turned = header.ariaSort === "ascending" || (numbers && header.ariaSort !== "descending");
    sort(column, turned);
  });
});

const search = document.getElementById("search");
search.addEventListener("input", () => {
  const words = search.value.toLowerCase().split(/\s+/);
  for (const { row, text } of rows) row.hidden = !words.every((word) => text.includes(word));
  const found = rows.filter(({ row }) => !row.hidden).length;
  document.getElementById("count").textContent = search.value.trim() && `${found} found`;
});
sort(0, false);
