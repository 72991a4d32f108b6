// Sortable and searchable tables, large pictures. Without this script, tables and links stay plain.
"use strict";

function element(name, attributes, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

// Value of a cell: `data-value` if the text is not the plain value, as in "4.86 ± 0.04" or "3 min 20 s".
function value(row, column) {
  const cell = row.cells[column];
  return cell ? (cell.dataset.value ?? cell.textContent).trim() : "";
}

// Sort rows by one column: numbers by value, other text in natural order, blanks always last.
function sorted(rows, column, direction) {
  const numeric = rows.every((row) => !Number.isNaN(Number(value(row, column))));
  const blank = (row) => value(row, column) === "";
  const compare = (a, b) => numeric ? Number(a) - Number(b) : a.localeCompare(b, "en", { numeric: true });
  return [...rows].sort((a, b) =>
    blank(a) - blank(b) || direction * compare(value(a, column), value(b, column)));
}

function makeSortable(table) {
  const body = table.tBodies[0], original = [...body.rows];
  const heads = [...table.querySelectorAll("thead th[scope=col]")].filter((head) => head.textContent.trim());
  for (const head of heads) {
    const column = Number(head.dataset.column ?? head.cellIndex);
    const button = element("button", { type: "button", class: "sort" }, ...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const next = { none: "ascending", ascending: "descending", descending: "none" }[head.getAttribute("aria-sort")];
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", next);
      const direction = { ascending: 1, descending: -1 }[next];
      body.append(...(direction ? sorted(original, column, direction) : original));
    });
  }
}

// `data-search`: label of the field. Items are the rows of a table, or the children of a list.
function makeSearchable(list) {
  const items = list.tBodies ? [...list.tBodies[0].rows] : [...list.children];
  if (items.length < 8) return;  // short enough to read
  const texts = items.map((item) => item.textContent.toLowerCase().replace(/\s+/g, " "));
  const input = element("input", { type: "search", autocomplete: "off", spellcheck: "false" });
  const count = element("output", { "aria-live": "polite" });
  const field = element("p", { class: "find" }, element("label", {}, list.dataset.search + " ", input), " ", count);
  (list.closest(".scroll") ?? list).before(field);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    items.forEach((item, index) => { item.hidden = !words.every((word) => texts[index].includes(word)); });
    const shown = items.filter((item) => !item.hidden).length;
    count.textContent = words.length ? `${shown} of ${items.length}` : "";
    field.classList.toggle("active", words.length > 0);
  });
}

// Open links to pictures (`a.large`) in a dialog, unless a modifier key is pressed.
function enlargePictures() {
  const links = [...document.querySelectorAll("a.large")];
  if (!links.length || !window.HTMLDialogElement) return;
  const button = (text) => element("button", { type: "button" }, text);
  const picture = element("img", { alt: "" }), caption = element("p", {}), file = element("a", {}, "Open the file");
  const before = button("← Previous"), after = button("Next →"), full = button("Full size"), close = button("Close");
  full.setAttribute("aria-pressed", "false");
  const dialog = element("dialog", { class: "viewer", "aria-label": "Picture" },
    element("div", { class: "bar" }, before, after, full, file, close), picture, caption);
  let current = 0;
  const show = (wanted) => {
    current = (wanted + links.length) % links.length;
    const link = links[current], small = link.querySelector("img");
    picture.src = file.href = link.href;
    picture.alt = small.alt;
    picture.className = small.className;
    caption.textContent = link.closest("figure")?.querySelector("figcaption")?.textContent.trim() ?? small.alt;
  };
  links.forEach((link, index) => link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    show(index);
    document.body.append(dialog);
    dialog.showModal();
  }));
  before.addEventListener("click", () => show(current - 1));
  after.addEventListener("click", () => show(current + 1));
  full.addEventListener("click", () => full.setAttribute("aria-pressed", dialog.classList.toggle("full")));
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") show(current - 1);
    if (event.key === "ArrowRight") show(current + 1);
  });
  before.hidden = after.hidden = links.length < 2;
}

document.querySelectorAll("table.sortable").forEach(makeSortable);
document.querySelectorAll("[data-search]").forEach(makeSearchable);
enlargePictures();
