// Sorting and searching in tables, pictures enlarged. Without it the pages are plain tables and plain links.
"use strict";

function element(name, attributes, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

// A cell's value: `data-value` where the text is not the plain value, as in "4.86 ± 0.04" or "3 min 20 s".
function value(row, column) {
  const cell = row.cells[column];
  return cell ? (cell.dataset.value ?? cell.textContent).trim() : "";
}

// Rows by one column: numbers by value, other text as people would sort it, blanks always last.
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

// `data-search`: what the field is called. Items are the rows of a table, else the children of the list.
function makeSearchable(list) {
  const items = list.tBodies ? [...list.tBodies[0].rows] : [...list.children];
  if (items.length < 8) return;  // seen at a glance
  const texts = items.map((item) => item.textContent.toLowerCase().replace(/\s+/g, " "));
  const input = element("input", { type: "search", autocomplete: "off", spellcheck: "false" });
  const told = element("output", { "aria-live": "polite" });
  const field = element("p", { class: "find" }, element("label", {}, list.dataset.search + " ", input), " ", told);
  (list.closest(".scroll") ?? list).before(field);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    items.forEach((item, place) => { item.hidden = !words.every((word) => texts[place].includes(word)); });
    const shown = items.filter((item) => !item.hidden).length;
    told.textContent = words.length ? `${shown} of ${items.length}` : "";
    field.classList.toggle("active", words.length > 0);
  });
}

// Links to pictures (`a.large`) open in a dialog; with a key held down they stay links.
function enlargePictures() {
  const links = [...document.querySelectorAll("a.large")];
  if (!links.length || !window.HTMLDialogElement) return;
  const button = (text) => element("button", { type: "button" }, text);
  const picture = element("img", { alt: "" }), caption = element("p", {}), file = element("a", {}, "Open the file");
  const before = button("← Previous"), after = button("Next →"), full = button("Full size"), close = button("Close");
  full.setAttribute("aria-pressed", "false");
  const dialog = element("dialog", { class: "viewer", "aria-label": "Picture" },
    element("div", { class: "bar" }, before, after, full, file, close), picture, caption);
  let place = 0;
  const show = (wanted) => {
    place = (wanted + links.length) % links.length;
    const link = links[place], small = link.querySelector("img");
    picture.src = file.href = link.href;
    picture.alt = small.alt;
    picture.className = small.className;
    caption.textContent = link.closest("figure")?.querySelector("figcaption")?.textContent.trim() ?? small.alt;
  };
  links.forEach((link, number) => link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    show(number);
    document.body.append(dialog);
    dialog.showModal();
  }));
  before.addEventListener("click", () => show(place - 1));
  after.addEventListener("click", () => show(place + 1));
  full.addEventListener("click", () => full.setAttribute("aria-pressed", dialog.classList.toggle("full")));
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") show(place - 1);
    if (event.key === "ArrowRight") show(place + 1);
  });
  before.hidden = after.hidden = links.length < 2;
}

document.querySelectorAll("table.sortable").forEach(makeSortable);
document.querySelectorAll("[data-search]").forEach(makeSearchable);
enlargePictures();
