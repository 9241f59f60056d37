"use strict";
// Shows the tables of the page: sorted, filtered, and a page of rows at a time, so that 20,000 rows stay fast.
// The data is JSON in the page. Only text is ever put into the document, never markup.

const ROWS = [50, 200, 1000];
const DELAY = 120; // milliseconds after the last key before the table is filtered
const NUMBERS = new Set(["count", "size", "share"]);
const COUNT = new Intl.NumberFormat("en-US");
const TEXT = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

function sizeText(bytes) {
  let value = bytes;
  for (const unit of ["B", "KiB", "MiB"]) {
    if (value < 1023.95) return unit === "B" ? `${bytes} B` : `${value.toFixed(1)} ${unit}`;
    value /= 1024;
  }
  return `${value.toFixed(1)} GiB`;
}

function cellText(value, measure) {
  if (measure === "size") return sizeText(value);
  if (measure === "share") return `${(100 * value).toFixed(2)} %`;
  return measure === "count" ? COUNT.format(value) : value;
}

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

class SortableTable {
  constructor(table) {
    this.table = table;
    this.shown = table.rows; // the rows that pass the filters, in order
    this.first = 0;
    this.perPage = ROWS[0];
    this.sorted = null; // {column, down}
    this.texts = null;
    this.section = document.getElementById(table.id);
    this.section.append(this.tools(), this.frame(), this.pager());
    if (table.note) this.section.append(element("p", { className: "note", textContent: `${table.note}.` }));
    this.draw();
  }

  tools() {
    const label = `Filter ${this.table.title.toLowerCase()}`;
    this.filter = element("input", { type: "search", placeholder: "numpy linux-64" });
    this.filter.setAttribute("aria-label", label);
    this.choices = [];
    const tools = element("div", { className: "tools" }, element("label", {}, "Filter", this.filter));
    this.table.columns.forEach((column, index) => {
      if (column.measure !== "choice") return;
      const values = [...new Set(this.table.rows.map((row) => row[index]))].sort(TEXT.compare);
      if (values.length < 2) return;
      const select = element("select", {}, element("option", { value: "", textContent: "all" }));
      for (const value of values) select.append(element("option", { value: `=${value}`, textContent: value || "none" }));
      select.addEventListener("change", () => this.update());
      this.choices.push({ index, select });
      tools.append(element("label", {}, column.title, select));
    });
    let timer = 0;
    this.filter.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.update(), DELAY);
    });
    return tools;
  }

  frame() {
    this.heads = this.table.columns.map((column, index) => {
      const button = element("button", { type: "button", textContent: column.title });
      button.addEventListener("click", () => this.sortBy(index));
      const head = element("th", { scope: "col" }, button);
      if (NUMBERS.has(column.measure)) head.className = "number";
      return head;
    });
    this.body = element("tbody");
    this.caption = element("caption");
    const table = element("table", {}, this.caption, element("thead", {}, element("tr", {}, ...this.heads)), this.body);
    const frame = element("div", { className: "scroll", tabIndex: 0 }, table);
    frame.setAttribute("role", "region");
    frame.setAttribute("aria-label", `${this.table.title}, scrolls sideways`);
    return frame;
  }

  pager() {
    this.status = element("span");
    this.status.setAttribute("role", "status");
    this.back = element("button", { type: "button", textContent: "Previous" });
    this.next = element("button", { type: "button", textContent: "Next" });
    this.back.addEventListener("click", () => this.turn(-1));
    this.next.addEventListener("click", () => this.turn(1));
    const size = element("select");
    size.setAttribute("aria-label", `Rows per page of ${this.table.title.toLowerCase()}`);
    for (const rows of ROWS) size.append(element("option", { value: rows, textContent: `${rows} rows` }));
    size.addEventListener("change", () => {
      this.perPage = Number(size.value);
      this.first = 0;
      this.draw();
    });
    this.controls = [this.back, this.next, size];
    return element("div", { className: "pager" }, this.status, ...this.controls);
  }

  turn(pages) {
    this.first = Math.max(0, this.first + pages * this.perPage);
    this.draw();
  }

  sortBy(column) {
    const numbers = NUMBERS.has(this.table.columns[column].measure);
    const down = this.sorted && this.sorted.column === column ? !this.sorted.down : numbers;
    this.sorted = { column, down };
    this.heads.forEach((head, index) => {
      if (index === column) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    this.update();
  }

  matching() {
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = this.choices.filter(({ select }) => select.value);
    if (!words.length && !chosen.length) return this.table.rows.slice();
    this.texts ??= new Map(this.table.rows.map((row) => [row, row.filter((cell) => typeof cell === "string").join("\n").toLowerCase()]));
    return this.table.rows.filter((row) =>
      chosen.every(({ index, select }) => `=${row[index]}` === select.value) &&
      words.every((word) => this.texts.get(row).includes(word)));
  }

  update() {
    const rows = this.matching();
    if (this.sorted) {
      const { column, down } = this.sorted;
      const compare = NUMBERS.has(this.table.columns[column].measure)
        ? (a, b) => a[column] - b[column]
        : (a, b) => TEXT.compare(a[column], b[column]);
      rows.sort(down ? (a, b) => compare(b, a) : compare);
    }
    this.shown = rows;
    this.first = 0;
    this.draw();
  }

  draw() {
    const { columns, rows, title } = this.table;
    const last = Math.min(this.shown.length, this.first + this.perPage);
    this.body.replaceChildren(...this.shown.slice(this.first, last).map((row) => element("tr", {}, ...row.map((value, index) => {
      const { measure, title: name } = columns[index];
      const cell = element(index ? "td" : "th", { textContent: cellText(value, measure) });
      if (!index) cell.scope = "row";
      cell.className = NUMBERS.has(measure) ? "number" : measure;
      if (name === "status") cell.classList.add(`status-${value}`);
      return cell;
    }))));
    const some = this.shown.length === rows.length ? "" : ` (of ${COUNT.format(rows.length)})`;
    this.status.textContent = this.shown.length
      ? `${COUNT.format(this.first + 1)} to ${COUNT.format(last)} of ${COUNT.format(this.shown.length)}${some}`
      : `nothing matches${some}`;
    this.caption.textContent = title;
    this.back.disabled = this.first === 0;
    this.next.disabled = last >= this.shown.length;
    for (const control of this.controls) control.hidden = rows.length <= ROWS[0];
  }
}

for (const table of JSON.parse(document.getElementById("data").textContent)) new SortableTable(table);
