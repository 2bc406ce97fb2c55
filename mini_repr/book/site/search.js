// Search over INDEX, rows of [title, kind, address, names, first line], which stands above in this file.
const field = document.getElementById("search");
const found = document.getElementById("found");
const fold = (text) => text.toLowerCase().replace(/[^a-z0-9.]+/g, "");

// The smaller, the better: the name itself, another name, the beginning of one, a part of one, a part of the line.
function rank([title, kind, , names, line], wanted) {
  const all = names.split(" ").map(fold);
  if (all[0] === wanted) return kind === "loss" ? 0 : 1;
  if (all.includes(wanted)) return kind === "loss" ? 2 : 3;
  if (all.some((name) => name.startsWith(wanted))) return 4;
  if (fold(title).includes(wanted) || all.some((name) => name.includes(wanted))) return 5;
  return fold(line).includes(wanted) ? 6 : 9;
}

function search() {
  const wanted = fold(field.value);
  const hits = wanted ? INDEX.map((row) => [rank(row, wanted), row]).filter(([r]) => r < 9) : [];
  hits.sort((x, y) => x[0] - y[0]);
  found.replaceChildren(
    ...hits.slice(0, 12).map(([, [title, kind, address, , line]]) => {
      const link = document.createElement("a");
      link.href = field.dataset.root + address;
      link.append(title);
      const small = document.createElement("small");
      small.append(kind + (line ? ": " + line : ""));
      link.append(small);
      const item = document.createElement("li");
      item.append(link);
      return item;
    })
  );
  found.hidden = !hits.length;
}

field.addEventListener("input", search);
field.addEventListener("keydown", (event) => {
  const first = found.querySelector("a");
  if (event.key === "Enter" && first) location.href = first.href;
  if (event.key === "Escape") { field.value = ""; search(); }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== field) { event.preventDefault(); field.focus(); }
});
// On a wide screen the contents stand open, at this page's entry.
if (matchMedia("(min-width: 900px)").matches) {
  const nav = document.querySelector("nav");
  nav.querySelector("details").open = true;
  const here = nav.querySelector("ul:not(.menu) .here");
  if (here) nav.scrollTop = here.offsetTop - nav.clientHeight / 2;
}
