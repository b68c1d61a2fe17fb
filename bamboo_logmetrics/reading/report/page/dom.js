// Elements of the page. Texts of the log go into text nodes only, never into markup.

/** Return an element with attributes and children; a child is an element, or a text. */
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  setAll(node, attributes);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Return an SVG element with attributes. */
function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  setAll(node, attributes);
  node.append(...children);
  return node;
}

function setAll(node, attributes) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "onclick") node.addEventListener("click", value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
}

function byId(id) {
  return document.getElementById(id);
}

function clear(node, ...children) {
  node.replaceChildren(...children);
}

/** Fill a group of buttons of which one is chosen. */
function segments(id, choices, chosen, choose) {
  const buttons = choices.map(([value, label]) =>
    el("button", { type: "button", "aria-pressed": String(value === chosen), "data-value": value, onclick: () => choose(value) }, label)
  );
  const group = byId(id);
  const focused = group.contains(document.activeElement) ? document.activeElement.dataset.value : null;
  clear(group, ...buttons);
  const again = buttons.find((button) => button.dataset.value === focused);
  if (again) again.focus();
}

/** Return a table; a column is {label, number, cell}, and a row is anything that ``cell`` understands. */
function table(columns, rows, caption) {
  const head = columns.map((column) => el("th", { scope: "col", class: column.number ? "number" : null }, column.label));
  const body = rows.map((row) =>
    el("tr", null, ...columns.map((column, place) => cellOf(column, row, place)))
  );
  return el(
    "table",
    null,
    el("caption", { class: "hidden" }, caption),
    el("thead", null, el("tr", null, ...head)),
    el("tbody", null, ...body)
  );
}

function cellOf(column, row, place) {
  const attributes = { class: column.number ? "number" : null, "data-label": column.label };
  return el(place ? "td" : "th", place ? attributes : { ...attributes, scope: "row" }, column.cell(row));
}
