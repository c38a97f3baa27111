// A scatter plot of an index: hover describes, a click chooses, areas are selected; colours, names by zoom, a slider.
// The files of the map come from ui/map_files.py. What comes from a source is only ever set as text.
const SVG = "http://www.w3.org/2000/svg";
const plots = new WeakMap(); // a plot lives from run to run, with how it is zoomed
// Paul Tol, Colour Schemes (2021): "muted" and "light", which people tell apart who don't see red or green
const COLOURS = {
  light: ["#332288", "#CC6677", "#117733", "#88CCEE", "#882255", "#999933", "#AA4499", "#44AA99"],
  dark: ["#77AADD", "#EE8866", "#44BB99", "#EEDD88", "#FFAABB", "#BBCC33", "#99DDFF", "#DDDDDD"],
};
// ColorBrewer's "Blues", without what is lost on the page's ground
const RAMPS = { light: ["#9ECAE1", "#4292C6", "#08519C", "#08214A"], dark: ["#2B5C96", "#4292C6", "#9ECAE1", "#F0F7FF"] };
const NOTHING = "#8A8F98"; // the colour of items without a value, or with a rare one
const MOST = 1000, NEAR = 60, ROOM = 40, CORNERS = 100; // zoom; items shown as themselves; names; corners of an area
const FEW = 10000, QUICK = 20; // dots that are always drawn while the map moves; milliseconds of a frame
const STRONG = 217, FAINT = 22; // opacity of 255

const make = (name, attributes = {}, parent = null) => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent?.append(element);
  return element;
};
const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const day = (value) => new Date(value * 864e5).toISOString().slice(0, 10);
const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

class Plot {
  constructor(root) {
    this.root = root;
    for (const name of ["svg", "canvas", ".tip", ".legend", ".closeup", ".slider", ".sliding"]) {
      this[name.replace(".", "")] = root.querySelector(name);
    }
    this.selects = [...root.querySelectorAll(".controls select")];
    this.painter = new Painter(this.canvas, () => this.arrange());
    this.most = 1.5 * FEW; // dots in view that are drawn while the map moves: as many as this machine draws in time
    root.dataset.painter = this.painter.gl ? "webgl" : "canvas";
    this.marks = make("g", { class: "marks" }, this.svg);
    this.labels = make("g", { class: "labels" }, this.svg);
    this.ring = make("circle", { class: "hover", visibility: "hidden" }, this.svg);
    this.shape = make("polygon", { class: "area", visibility: "hidden" }, this.svg);
    this.widths = new Map(); // of names, in pixels
    this.listen();
  }

  forget() {
    Object.assign(this, { scale: 1, tx: 0, ty: 0, at: -1, count: 0, drag: null, mode: "", levels: [],
      items: new Map(), columns: new Map() });
  }

  // Draw what a run of the page says.
  async show(data) {
    const another = this.data?.base !== data.base;
    this.data = data;
    if (another) {
      this.forget();
      this.root.dataset.lit = "";
    }
    this.dark = this.isDark();
    this.control();
    this.list();
    this.size();
    this.arrange();
    const fields = [data.colour, data.over].map((each) => each?.field).filter(Boolean);
    try {
      if (another) this.read(await this.fetch("points"));
      for (const field of fields.filter((each) => !this.columns.has(each))) {
        this.columns.set(field, new Float64Array(await this.fetch(`values/${encodeURIComponent(field)}`)));
      }
    } catch (error) {
      this.root.dataset.lost = error.message;
      return;
    }
    if (this.data.base !== data.base || !this.count) return;
    this.shade();
    if (!another) return;
    const levels = JSON.parse(new TextDecoder().decode(await this.fetch("regions").catch(() => new ArrayBuffer(0))) || "[]");
    if (this.data.base !== data.base) return;
    this.levels = levels;
    this.arrange();
  }

  async fetch(file) {
    const { base } = this.data;
    const response = await fetch(`${base}/${file}`);
    if (!response.ok) throw new Error(`${file}: ${response.status}`);
    const content = await response.arrayBuffer();
    if (base !== this.data.base) throw new Error("another map");
    return content;
  }

  read(buffer) {
    const count = buffer.byteLength / 14;
    const [xs, ys] = [0, 1].map((part) => new Float32Array(buffer, 4 * part * count, count));
    this.rows = new Uint32Array(buffer, 8 * count, count);
    this.groups = new Uint8Array(buffer, 12 * count, count);
    this.kept = new Uint8Array(buffer, 13 * count, count);
    let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
    for (let i = 0; i < count; i++) {
      left = Math.min(left, xs[i]); right = Math.max(right, xs[i]);
      low = Math.min(low, ys[i]); high = Math.max(high, ys[i]);
    }
    this.bounds = [left, right, low, high];
    this.middle = [(left + right) / 2, (low + high) / 2];
    this.places = new Float32Array(2 * count); // from the middle
    for (let i = 0; i < count; i++) {
      this.places[2 * i] = xs[i] - this.middle[0];
      this.places[2 * i + 1] = ys[i] - this.middle[1];
    }
    this.count = count;
    this.painter.place(this.places);
    this.size();
  }

  // how large the plot is, and so how many pixels a step on the map is
  size() {
    this.width = this.svg.clientWidth;
    this.height = this.svg.clientHeight;
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    if (!this.count) return;
    const [left, right, low, high] = this.bounds;
    const pad = 26;
    this.unit = Math.min((this.width - 2 * pad) / (right - left || 1), (this.height - 2 * pad) / (high - low || 1));
  }

  get dot() {
    const most = this.width < 560 ? 6.5 : 9;
    const few = Math.max(0, 1 - Math.log10(this.count || 1) / 4.6);
    return Math.min(12, (2 + (most - 2) * few) * this.scale ** 0.3);
  }

  // [ax, ay, bx, by]: from places, which are counted from the middle, to pixels
  get transform() {
    const step = this.unit * this.scale;
    return [step, -step, this.width / 2 * this.scale + this.tx, this.height / 2 * this.scale + this.ty];
  }
  pixel(i) {
    const [ax, ay, bx, by] = this.transform;
    return [ax * this.places[2 * i] + bx, ay * this.places[2 * i + 1] + by];
  }
  screen(x, y) {
    const [ax, ay, bx, by] = this.transform;
    return [ax * (x - this.middle[0]) + bx, ay * (y - this.middle[1]) + by];
  }
  world(x, y) {
    const [ax, ay, bx, by] = this.transform;
    return [(x - bx) / ax + this.middle[0], (y - by) / ay + this.middle[1]];
  }

  isDark() {
    const probe = document.createElement("i");
    probe.style.color = "var(--st-background-color)";
    this.root.append(probe);
    const [r, g, b] = getComputedStyle(probe).color.match(/[\d.]+/g).map(Number);
    probe.remove();
    return 0.299 * r + 0.587 * g + 0.114 * b < 128;
  }

  // ---- colours, what is singled out, and the slider

  get palette() { return COLOURS[this.dark ? "dark" : "light"]; }
  get numeric() { return ["number", "date"].includes(this.data.colour.kind); }
  colour(number) {
    const { names } = this.data.colour; // of all other values it is null
    return names?.[number] === null ? NOTHING : this.palette[number % this.palette.length];
  }
  code(i) { return this.data.colour.field ? this.columns.get(this.data.colour.field)?.[i] : this.groups[i]; }
  ramp(share) {
    const stops = RAMPS[this.dark ? "dark" : "light"].map(rgb);
    const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
    const [from, to] = [stops[Math.floor(at)], stops[Math.ceil(at)]];
    return from.map((each, part) => Math.round(each + (to[part] - each) * (at % 1)));
  }

  // Give each dot its colour, and say which are lit, dimmed (1) or left out (0).
  shade() {
    const { colour, over, only } = this.data;
    const values = over && this.columns.get(over.field);
    const whole = !over || this.from <= over.low && this.to >= over.high;
    const shades = new Uint8Array(4 * this.count);
    const codes = colour.field ? this.columns.get(colour.field) : this.groups;
    const table = this.numeric ? [...Array(256).keys()].map((each) => this.ramp(each / 255))
      : this.palette.map((_, number) => rgb(this.colour(number)));
    const nothing = rgb(NOTHING), span = (colour.high - colour.low) || 1;
    this.state = new Uint8Array(this.count);
    let lit = 0;
    for (let i = 0; i < this.count; i++) {
      const code = codes?.[i] ?? NaN;
      const value = values && (over.kind === "date" ? Math.floor(values[i]) : values[i]);
      const left = whole || !values || (value >= this.from && value <= this.to);
      const state = !left ? 0 : only >= 0 && !this.numeric && code !== only ? 1 : 2;
      const own = Number.isNaN(code) ? nothing
        : this.numeric ? table[Math.round(255 * Math.min(Math.max((code - colour.low) / span, 0), 1))]
          : table[code % table.length];
      shades.set(own, 4 * i);
      shades[4 * i + 3] = [0, FAINT, STRONG][state];
      this.state[i] = state;
      lit += state === 2;
    }
    this.painter.shade(shades);
    Object.assign(this.root.dataset, { drawn: this.count, lit });
    if (this.at >= 0 && this.state[this.at] !== 2) this.point(-1);
    this.arrange();
  }

  ask(changes) { this.trigger("view", changes); }

  control() {
    const { fields, ranges, colour, over } = this.data;
    for (const select of this.selects) {
      const isColour = select.dataset.set === "colour";
      const names = isColour ? ["", ...fields] : ["", ...ranges];
      if (select.options.length !== names.length || names.some((name, at) => select.options[at].value !== name)) {
        select.replaceChildren(...names.map((name) => new Option(name || (isColour ? "group" : "nothing"), name)));
      }
      select.value = (isColour ? colour.field : over?.field) ?? "";
      select.onchange = () => this.ask(isColour ? { colour: select.value, only: "" } : { over: select.value, between: "" });
    }
    this.selects[0].parentElement.hidden = !fields.length;
    this.sliding.hidden = !ranges.length;
    this.slider.hidden = !over;
    if (!over) return;
    const [from, to] = this.slider.querySelectorAll("input");
    const output = this.slider.querySelector("output");
    const said = (value) => (over.kind === "date" ? day(value) : String(Number(Number(value).toPrecision(15))));
    this.from = over.from ?? over.low;
    this.to = over.to ?? over.high;
    const told = () => { output.textContent = `${said(this.from)} to ${said(this.to)}`; };
    for (const input of [from, to]) {
      Object.assign(input, { min: over.low, max: over.high, step: over.step });
      const end = input.dataset.end;
      input.value = this[end];
      input.setAttribute("aria-label", `${over.field}: ${end}`);
      input.oninput = () => {
        this[end] = Number(input.value);
        if (this.from > this.to) {
          this.from = this.to = this[end];
          from.value = to.value = this[end];
        }
        told();
        this.shade();
      };
      input.onchange = () => {
        const whole = this.from <= over.low && this.to >= over.high;
        this.ask({ between: whole ? "" : `${said(this.from)}..${said(this.to)}` });
      };
    }
    told();
  }

  list() {
    const { colour, groups, only } = this.data;
    if (this.numeric) {
      const said = colour.kind === "date" ? day : String;
      const bar = document.createElement("i");
      bar.className = "ramp";
      bar.style.background = `linear-gradient(to right, ${RAMPS[this.dark ? "dark" : "light"].join(", ")})`;
      this.legend.replaceChildren(said(colour.low), bar, said(colour.high));
      return;
    }
    const rows = colour.field ? colour.names.map((name, at) => ({ name: name ?? "all other values", size: colour.counts[at] })) : groups;
    const buttons = rows.map((row, number) => {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", String(only === number));
      button.style.setProperty("--colour", this.colour(number));
      const label = document.createElement("span");
      label.textContent = row.name;
      const size = document.createElement("small");
      size.textContent = row.size.toLocaleString("en");
      button.append(label, size);
      button.onclick = () => {
        this.data = { ...this.data, only: this.data.only === number ? -1 : number };
        this.list();
        this.shade();
        this.legend.children[number].focus();
        this.ask({ only: this.data.only < 0 ? "" : String(number) });
      };
      return button;
    });
    this.legend.replaceChildren(...buttons);
  }

  // ---- what is drawn again whenever the map moves

  arrange(moves = false) {
    this.moves = moves;
    this.frame ??= requestAnimationFrame((now) => {
      this.frame = null;
      if (!this.count || !this.width) return;
      const share = this.moves ? this.share(now) : 1;
      this.paint(share);
      this.mark();
      this.name();
      this.settle();
    });
  }

  paint(share) {
    this.painter.draw(this.width, this.height, window.devicePixelRatio || 1, this.transform, this.dot, share);
    this.painted = share;
    this.root.dataset.painted = Math.ceil(share * this.count);
  }

  // how many of the dots are drawn while the map moves, to 1: fewer where the last frame was late
  share(now) {
    const [ax, ay, bx, by] = this.transform, { places, count, width, height } = this;
    const took = now - this.before;
    this.before = now;
    if (this.painted < 1 && took < 200) this.most *= took > QUICK ? 0.8 : 1.02;
    this.most = Math.min(Math.max(this.most, FEW), count);
    let seen = 0;
    for (let i = 0; i < count; i++) {
      const x = ax * places[2 * i] + bx, y = ay * places[2 * i + 1] + by;
      if (x > 0 && y > 0 && x < width && y < height) seen++;
    }
    return Math.min(1, this.most / seen);
  }

  mark() {
    const { lit, area } = this.data, from = this.data.from;
    this.marks.replaceChildren();
    if (area) {
      const corners = area.map(([x, y]) => this.screen(x, y).join(",")).join(" ");
      make("polygon", { points: corners, class: "area" }, this.marks);
    }
    const reach = this.dot / 2;
    const places = lit.map(([, x, y]) => this.screen(x, y));
    if (from) {
      const [x1, y1] = this.screen(from[1], from[2]);
      for (const [x2, y2] of places) make("line", { x1, y1, x2, y2 }, this.marks);
      if (from[0] >= 0) make("circle", { cx: x1, cy: y1, r: reach + 5, class: "chosen" }, this.marks);
      else make("path", { d: `M${x1 - 9} ${y1}L${x1} ${y1 - 9}L${x1 + 9} ${y1}L${x1} ${y1 + 9}Z`, class: "query" }, this.marks);
    }
    for (const [cx, cy] of places) make("circle", { cx, cy, r: reach + 2, class: "near" }, this.marks);
    if (this.at >= 0) this.ringAt(this.at);
  }

  // names at the middles of groups and, nearer, of finer parts; moved apart where they would lie on each other
  name() {
    this.labels.replaceChildren();
    if (this.width < 560) return; // the legend has them
    const depth = this.scale < 2 ? 0 : this.scale < 6 ? 1 : 2;
    const level = Math.min(depth, this.levels.length);
    let shown = level ? this.levels[level - 1] : this.data.groups.map((group, number) => ({ ...group, number }));
    const { only, colour } = this.data;
    if (!level) shown = shown.filter((group) => group.size && (only < 0 || colour.field || only === group.number));
    const boxes = [];
    this.root.dataset.level = level;
    for (const group of [...shown].sort((a, b) => b.size - a.size)) {
      let [x, y] = this.screen(group.x, group.y);
      if (x < 0 || y < 0 || x > this.width || y > this.height) continue;
      if (boxes.length === ROOM) break;
      const text = make("text", { "text-anchor": "middle" }, this.labels);
      text.textContent = short(group.name, 34);
      if (!this.widths.has(text.textContent)) this.widths.set(text.textContent, text.getComputedTextLength());
      const long = this.widths.get(text.textContent) || 7.4 * text.textContent.length; // 0 until it is laid out
      x = Math.min(Math.max(x, long / 2 + 6), this.width - long / 2 - 6);
      const lies = (ty) => boxes.some((b) => Math.abs(b.x - x) < (b.long + long) / 2 + 6 && Math.abs(b.y - ty) < 19);
      const steps = level ? [0] : [0, 1, -1, 2, -2, 3, -3, 4, -4];
      const free = steps.map((step) => y + 19 * step).find((ty) => !lies(ty) && ty > 14 && ty < this.height - 8);
      if (free === undefined) { text.remove(); continue; }
      boxes.push({ x, y: free, long });
      text.setAttribute("x", x);
      text.setAttribute("y", free + 4);
    }
  }

  // A moment after the map has come to rest all dots are drawn, and few items in view are shown as themselves.
  settle() {
    this.closeup.hidden = true;
    clearTimeout(this.rest);
    this.rest = setTimeout(() => {
      if (this.painted < 1) this.paint(1);
      this.approach().catch(() => {});
    }, 150);
  }

  async approach() {
    const seen = [];
    if (!this.state || this.scale < (this.data.images ? 1 : 1.5)) return;
    for (let i = 0; i < this.count && seen.length <= NEAR; i++) {
      if (this.state[i] !== 2) continue;
      const [x, y] = this.pixel(i);
      if (x > 0 && y > 0 && x < this.width && y < this.height) seen.push(i);
    }
    if (seen.length > NEAR) return;
    const { rest } = this;
    await this.learn(seen);
    if (rest !== this.rest) return; // it has moved meanwhile
    const boxes = [];
    this.closeup.replaceChildren();
    for (const i of seen) {
      const [x, y] = this.pixel(i), item = this.items.get(this.rows[i]);
      const [w, h] = item?.image ? [60, 60] : [Math.min(26, item?.title.length ?? 0) * 6.4 + 8, 16];
      const [left, top] = item?.image ? [x - w / 2, y - h / 2] : [x + this.dot / 2 + 3, y - h / 2];
      const hits = boxes.some((b) => Math.abs(b.left - left) < (b.w + w) / 2 && Math.abs(b.top - top) < (b.h + h) / 2
        || (left < b.left + b.w && b.left < left + w && top < b.top + b.h && b.top < top + h));
      if (!item || hits || left + w > this.width || left < 0) continue;
      const shown = document.createElement(item.image ? "img" : "span");
      if (item.image) Object.assign(shown, { src: item.image, alt: "" });
      else shown.textContent = short(item.title, 26);
      shown.style.left = `${left}px`;
      shown.style.top = `${top}px`;
      shown.style.setProperty("--colour", this.swatch(i));
      this.closeup.append(shown);
      boxes.push({ left, top, w, h });
    }
    this.closeup.hidden = false;
  }

  // Fetch what there is to say of some dots.
  async learn(dots) {
    const rows = dots.map((i) => this.rows[i]).filter((row) => !this.items.has(row));
    if (!rows.length) return;
    const { items } = this;
    const found = JSON.parse(new TextDecoder().decode(await this.fetch(`items/${rows.join(",")}`)));
    for (const item of found) items.set(item.row, item);
  }

  swatch(i) {
    const code = this.code(i);
    if (code === undefined || Number.isNaN(code)) return NOTHING;
    const { low, high } = this.data.colour;
    return this.numeric ? `rgb(${this.ramp((code - low) / ((high - low) || 1)).join(" ")})` : this.colour(code);
  }

  // ---- pointing

  ringAt(i) {
    const [cx, cy] = this.pixel(i);
    for (const [key, value] of Object.entries({ cx, cy, r: this.dot / 2 + 3 })) this.ring.setAttribute(key, value);
  }

  point(i) {
    if (i === this.at && i >= 0) return;
    this.at = i;
    this.ring.setAttribute("visibility", i < 0 ? "hidden" : "visible");
    this.svg.style.cursor = this.mode ? "crosshair" : i < 0 ? "" : "pointer";
    this.tip.hidden = true;
    clearTimeout(this.wait);
    if (i < 0) return;
    this.ringAt(i);
    if (this.items.has(this.rows[i])) this.describe(i);
    else this.wait = setTimeout(() => this.learn([i]).then(() => this.at === i && this.describe(i)).catch(() => {}), 30);
  }

  describe(i) {
    const item = this.items.get(this.rows[i]), { tip } = this;
    if (!item) return;
    const image = tip.querySelector("img");
    image.hidden = !item.image;
    if (item.image) image.src = item.image;
    tip.querySelector("b").textContent = item.title;
    tip.querySelector(".note").textContent = item.note;
    const group = tip.querySelector(".group"), { colour } = this.data;
    const said = (value) => (Number.isNaN(value) || value === undefined ? "no value"
      : colour.kind === "date" ? day(value) : colour.kind === "number" ? String(value) : colour.names[value] ?? "another value");
    group.textContent = colour.field ? `${colour.field}: ${said(this.code(i))}` : this.data.groups[this.groups[i]].name;
    group.style.setProperty("--colour", this.swatch(i));
    tip.querySelector(".kept").textContent = this.kept[i] > 250 ? ""
      : `${Math.round(this.kept[i] * this.data.k / this.data.steps)} of its ${this.data.k} nearest are among its ${this.data.k} nearest here`;
    tip.hidden = false;
    const [x, y] = this.pixel(i), [w, h] = [tip.offsetWidth, tip.offsetHeight];
    const left = x + 14 + w <= this.width ? x + 14 : Math.max(0, x - 14 - w);
    tip.style.left = `${Math.min(left, Math.max(0, this.width - w))}px`;
    tip.style.top = `${Math.min(Math.max(0, y - h / 2), Math.max(0, this.height - h))}px`;
  }

  nearest(x, y, reach) {
    if (!this.state) return -1;
    const [ax, ay, bx, by] = this.transform;
    let best = -1, least = reach * reach;
    for (let i = 0; i < this.count; i++) {
      if (this.state[i] !== 2) continue;
      const dx = ax * this.places[2 * i] + bx - x, dy = ay * this.places[2 * i + 1] + by - y;
      const far = dx * dx + dy * dy;
      if (far < least) [best, least] = [i, far];
    }
    return best;
  }

  choose(i) { if (i >= 0) this.trigger("chosen", this.rows[i]); }

  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const scale = Math.min(Math.max(this.scale * factor, 1), MOST);
    this.tx = x - ((x - this.tx) * scale) / this.scale;
    this.ty = y - ((y - this.ty) * scale) / this.scale;
    this.scale = scale;
    if (scale === 1) [this.tx, this.ty] = [0, 0];
    this.root.dataset.scale = scale.toFixed(2);
    this.touch();
    this.point(-1);
    this.arrange(true);
  }

  touch() { this.svg.style.touchAction = this.scale > 1 || this.mode ? "none" : "pan-y"; }

  // ---- areas

  turn(mode) {
    this.mode = this.mode === mode ? "" : mode;
    for (const button of this.root.querySelectorAll("[data-mode]:not([data-mode=view])")) {
      button.setAttribute("aria-pressed", String(button.dataset.mode === this.mode));
    }
    this.svg.style.cursor = this.mode ? "crosshair" : "";
    this.touch();
  }

  outline(corners) {
    this.shape.setAttribute("visibility", corners ? "visible" : "hidden");
    if (corners) this.shape.setAttribute("points", corners.map((each) => each.join(",")).join(" "));
  }

  corners() {
    const { x, y, trail } = this.drag;
    if (this.mode === "lasso") return trail;
    const [ex, ey] = trail[trail.length - 1];
    return [[x, y], [ex, y], [ex, ey], [x, ey]];
  }

  select(corners) {
    const kept = corners.filter((_, at) => at % Math.ceil(corners.length / CORNERS) === 0);
    if (kept.length < 3) return;
    const digits = Math.max(0, Math.ceil(Math.log10(this.unit * this.scale)) + 1); // a tenth of a pixel
    const places = kept.flatMap(([x, y]) => this.world(x, y)).map((each) => Number(each.toFixed(Math.min(digits, 12))));
    this.turn("");
    this.data = { ...this.data, area: kept.map((_, at) => places.slice(2 * at, 2 * at + 2)) };
    this.arrange();
    this.ask({ area: places.join(",") });
  }

  // ---- events

  listen() {
    const { svg, root } = this;
    const position = (event) => {
      const box = svg.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    svg.onpointermove = (event) => {
      if (!this.count) return;
      const [x, y] = position(event), { drag } = this;
      if (!drag) return this.mode || this.point(this.nearest(x, y, 16));
      if (Math.hypot(x - drag.x, y - drag.y) > 4) drag.moved = true;
      if (!drag.moved) return;
      if (this.mode) {
        drag.trail.push([Math.min(Math.max(x, 0), this.width), Math.min(Math.max(y, 0), this.height)]);
        this.outline(this.corners());
      } else if (this.scale > 1) {
        [this.tx, this.ty] = [drag.from[0] + x - drag.x, drag.from[1] + y - drag.y];
        this.arrange(true);
      }
    };
    svg.onpointerdown = (event) => {
      const [x, y] = position(event);
      this.drag = { x, y, from: [this.tx, this.ty], moved: false, trail: [[x, y]] };
      if (event.isTrusted) svg.setPointerCapture(event.pointerId);
    };
    svg.onpointerup = (event) => {
      const { drag } = this;
      if (drag?.moved && this.mode) this.select(this.corners());
      else if (drag && !drag.moved && !this.mode) {
        this.choose(this.nearest(...position(event), event.pointerType === "touch" ? 28 : 16));
      }
      this.drag = null;
      this.outline(null);
    };
    svg.onpointercancel = () => { this.drag = null; this.outline(null); };
    svg.onpointerleave = () => { if (!this.drag) this.point(-1); };
    svg.onwheel = (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 300), ...position(event));
    };
    svg.onkeydown = (event) => this.key(event);
    for (const button of root.querySelectorAll("[data-zoom]")) {
      const factor = { in: 1.6, out: 1 / 1.6, all: 0 }[button.dataset.zoom];
      button.onclick = () => this.zoom(factor);
    }
    for (const button of root.querySelectorAll("[data-mode]")) {
      const { mode } = button.dataset;
      if (mode !== "view") button.setAttribute("aria-pressed", "false");
      button.onclick = () => {
        if (mode !== "view") this.turn(mode);
        else this.select([[0, 0], [this.width, 0], [this.width, this.height], [0, this.height]]);
      };
    }
    this.watch = new ResizeObserver(() => {
      if (svg.clientWidth === this.width && svg.clientHeight === this.height) return;
      this.size();
      this.point(-1);
      this.arrange();
    });
    this.watch.observe(svg);
  }

  key(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Enter") this.choose(this.at);
    else if (event.key === "Escape") { this.turn(""); this.point(-1); }
    else if (event.key === "+" || event.key === "-") this.zoom(event.key === "+" ? 1.6 : 1 / 1.6);
    else if (!step || !this.state) return;
    else if (this.at < 0) {
      const chosen = this.data.from ? this.rows.indexOf(this.data.from[0]) : -1;
      this.point(chosen >= 0 && this.state[chosen] === 2 ? chosen : this.nearest(this.width / 2, this.height / 2, Infinity));
    } else {
      const [x, y] = this.pixel(this.at);
      let best = -1, least = Infinity;
      for (let i = 0; i < this.count; i++) {
        if (this.state[i] !== 2) continue;
        const [ex, ey] = this.pixel(i);
        const ahead = (ex - x) * step[0] + (ey - y) * step[1];
        const far = ahead + 3 * Math.abs((ex - x) * step[1] + (ey - y) * step[0]);
        if (ahead > 0.01 && far < least) [best, least] = [i, far];
      }
      if (best >= 0) this.point(best);
    }
    event.preventDefault();
  }

  end() {
    this.watch.disconnect();
    clearTimeout(this.rest);
    clearTimeout(this.wait);
    this.painter.end();
  }
}

export default function ({ parentElement, setTriggerValue, data }) {
  const root = parentElement.querySelector(".map");
  let plot = plots.get(root);
  if (!plot) plots.set(root, plot = new Plot(root));
  plot.trigger = setTriggerValue;
  plot.show(data);
  plot.svg.setAttribute("aria-label", `Map of ${data.count.toLocaleString("en")} items in ${data.groups.length} groups. `
    + "Arrow keys go from item to item, Enter chooses.");
  plot.touch();
  return () => setTimeout(() => root.isConnected || plot.end(), 0);
}
