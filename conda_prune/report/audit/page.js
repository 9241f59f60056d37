"use strict";
// Configures DataTables for the tables of the page, and Observable Plot for its plots. The data is JSON in the page.
// Only text is ever put into the document, never markup: DataTables takes the content of a cell for HTML unless it has
// a renderer.

const ROWS = [50, 200, 1000]; // the rows of a page of a table
const DELAY = 120; // milliseconds after the last key before a table is filtered
const COUNT = new Intl.NumberFormat("en-US");
const NATURAL = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
const UNITS = ["B", "KiB", "MiB", "GiB"];
const FONT = 13; // pixels, of the text in plots
const MEASURES = {
  text: { show: (text) => text },
  choice: { show: (text) => text },
  count: { show: (number) => COUNT.format(number), number: true },
  size: { show: sizeText, number: true },
  share: { show: (share) => `${(100 * share).toFixed(2)} %`, number: true },
};

DataTable.type("natural", { order: { asc: NATURAL.compare, desc: (a, b) => NATURAL.compare(b, a) } });

function unitOf(bytes) {
  let unit = 0;
  while (unit < UNITS.length - 1 && bytes / 1024 ** unit >= 1023.95) unit += 1;
  return unit;
}

function sizeText(bytes) {
  const unit = unitOf(bytes);
  return unit ? `${(bytes / 1024 ** unit).toFixed(1)} ${UNITS[unit]}` : `${bytes} B`;
}

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function columnOf({ title, measure }, index) {
  const { show, number } = MEASURES[measure];
  const escape = DataTable.util.escapeHtml;
  return {
    title: escape(title),
    type: number ? "num" : "natural",
    searchable: !number,
    orderSequence: number ? ["desc", "asc"] : ["asc", "desc"],
    className: number ? "number" : measure,
    cellType: index ? "td" : "th",
    render: number ? { _: (value) => value, display: show } : { _: (text) => text, display: escape, filter: escape },
    createdCell: (cell, value) => {
      if (!index) cell.scope = "row";
      if (title === "status") cell.classList.add(`status-${value}`);
    },
  };
}

// Returns a select for each column with few different texts.
function choices(table, shown) {
  return table.columns.flatMap(({ title, measure }, index) => {
    const values = [...new Set(table.rows.map((row) => row[index]))].sort(NATURAL.compare);
    if (measure !== "choice" || values.length < 2) return [];
    const select = element("select", {}, element("option", { value: "", textContent: "all" }));
    for (const value of values) select.append(element("option", { value: `=${value}`, textContent: value || "none" }));
    select.addEventListener("change", () => {
      const chosen = select.value && ((text, row) => `=${row[index]}` === select.value);
      shown().column(index).search.fixed("choice", chosen || null).draw();
    });
    return [element("label", {}, title, select)];
  });
}

function showTable(table) {
  const section = document.getElementById(table.id);
  const grid = element("table", {}, element("caption", { textContent: table.title }));
  section.append(grid);
  const paged = table.rows.length > ROWS[0];
  const shown = new DataTable(grid, {
    data: table.rows,
    columns: table.columns.map(columnOf),
    order: [],
    autoWidth: false, // it would look at every row
    paging: paged,
    lengthMenu: ROWS,
    searchDelay: DELAY,
    layout: {
      topStart: [{ search: { text: "Filter", placeholder: table.id === "packages" ? "numpy linux-64" : "" } }, ...choices(table, () => shown)],
      topEnd: null,
      bottomStart: "info",
      bottomEnd: paged ? [{ pageLength: { text: "Rows per page _MENU_" } }, { paging: { buttons: 5, firstLast: false } }] : null,
    },
    language: {
      aria: { orderable: "", orderableRemove: "", orderableReverse: "" }, // aria-sort says it
      info: "_START_ to _END_ of _TOTAL_",
      infoEmpty: "nothing matches",
      infoFiltered: "(of _MAX_)",
      zeroRecords: "nothing matches",
      paginate: { previous: "Previous", next: "Next" },
    },
  });
  // The button in each head has the title as its name; a screen reader would read it twice.
  for (const title of grid.querySelectorAll(".dt-column-title")) title.ariaHidden = "true";
  grid.tHead.addEventListener("keydown", (event) => {
    if (event.key !== " ") return; // DataTables listens to Enter only
    event.preventDefault();
    event.target.click();
  });
  const title = table.title.toLowerCase();
  section.querySelector("input").setAttribute("aria-label", `Filter ${title}`);
  section.querySelector("nav")?.setAttribute("aria-label", `Pages of ${title}`);
  section.querySelector(".dt-length select")?.setAttribute("aria-label", `Rows per page of ${title}`);
  const frame = grid.parentElement;
  frame.className = "scroll";
  frame.tabIndex = 0;
  frame.setAttribute("role", "region");
  frame.setAttribute("aria-label", `${table.title}, scrolls sideways`);
  if (table.note) section.append(element("p", { className: "note", textContent: `${table.note}.` }));
}

function drawMonths({ bars, measure }, width) {
  const most = Math.max(...bars.map(([, value]) => value));
  const unit = measure === "size" ? unitOf(most) : 0;
  const scale = measure === "share" ? 100 : 1 / 1024 ** unit;
  const suffix = { size: ` ${UNITS[unit]}`, share: " %" }[measure] ?? "";
  return Plot.plot({
    width, height: 220, marginLeft: 64, marginRight: 12, marginTop: 8,
    x: { type: "utc", label: null },
    y: { label: null, grid: true, nice: true, ticks: 4, tickFormat: (value) => `${COUNT.format(value)}${suffix}` },
    marks: [
      Plot.rectY(bars, {
        x: ([month]) => new Date(`${month}-01`), interval: "month", y: ([, value]) => scale * value, inset: 0.5, fill: "var(--bar)",
        title: ([month, value]) => `${month}: ${MEASURES[measure].show(value)}`, tip: true,
      }),
      Plot.ruleY([0]),
    ],
  });
}

function drawMost({ bars, measure }, width) {
  const names = bars.map(([name]) => name);
  const left = Math.min(0.4 * width, 20 + 0.6 * FONT * Math.max(...names.map((name) => name.length)));
  const y = (_, index) => index;
  return Plot.plot({
    width, height: 8 + 26 * bars.length, marginLeft: left, marginRight: 76, marginTop: 4, marginBottom: 4,
    x: { axis: null },
    y: { label: null, paddingInner: 0.35, paddingOuter: 0.1 },
    marks: [
      Plot.axisY({ tickSize: 0, tickFormat: (index) => names[index], lineWidth: (left - 20) / FONT, textOverflow: "ellipsis-middle" }),
      Plot.barX(bars, { y, x: ([, value]) => value, fill: "var(--bar)", rx2: 3 }),
      Plot.text(bars, { y, x: ([, value]) => value, text: ([, value]) => MEASURES[measure].show(value), textAnchor: "start", dx: 6 }),
    ],
  });
}

function showPlot(plot) {
  const figure = element("figure");
  document.querySelector(".plots").append(element("section", {}, element("h2", { textContent: plot.title }), figure));
  let drawn = 0;
  new ResizeObserver(([{ contentRect }]) => {
    const width = Math.floor(contentRect.width);
    if (!width || width === drawn) return;
    drawn = width;
    const picture = (plot.months ? drawMonths : drawMost)(plot, width);
    picture.style.fontSize = `${FONT}px`;
    picture.setAttribute("role", "img");
    picture.setAttribute("aria-label", `${plot.title}. ${plot.description}`);
    figure.replaceChildren(picture);
  }).observe(figure);
}

// Each table is shown in a task of its own, so that the page answers in between.
async function showAll() {
  for (const [id, show] of [["plots", showPlot], ["data", showTable]]) {
    for (const item of JSON.parse(document.getElementById(id).textContent)) {
      show(item);
      await new Promise((done) => setTimeout(done));
    }
  }
}

showAll();
