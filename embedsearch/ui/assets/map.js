// A scatter plot of an index: hover describes, a click chooses, groups can be singled out, and it can be zoomed.
// What comes from a source is only ever set as text.
const SVG = "http://www.w3.org/2000/svg";
const views = new WeakMap(); // how each plot is zoomed, and which group is singled out, from run to run

const make = (name, attributes = {}, parent = null) => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (parent) parent.append(element);
  return element;
};

const isDark = (element) => {
  const probe = document.createElement("i");
  probe.style.color = "var(--st-background-color)";
  element.append(probe);
  const [r, g, b] = getComputedStyle(probe).color.match(/[\d.]+/g).map(Number);
  probe.remove();
  return 0.299 * r + 0.587 * g + 0.114 * b < 128;
};

export default function ({ parentElement, setTriggerValue, data }) {
  const root = parentElement.querySelector(".map");
  const svg = root.querySelector("svg");
  const tip = root.querySelector(".tip");
  const legend = root.querySelector(".legend");
  const colours = data.colours[isDark(root) ? "dark" : "light"];
  const colour = (group) => colours[group % colours.length];
  const view = views.get(parentElement) ?? { index: data.index, scale: 1, x: 0, y: 0, only: -1 };
  if (view.index !== data.index) Object.assign(view, { index: data.index, scale: 1, x: 0, y: 0, only: -1 });
  if (view.only >= data.groups.length) view.only = -1;
  views.set(parentElement, view);
  const count = data.x.length;
  let size = 0, width = 0, height = 0, px = [], py = [], at = -1, drag = null;

  // from the map's coordinates to pixels, one scale for both axes
  const fit = () => {
    width = svg.clientWidth;
    height = svg.clientHeight;
    size = (5.5 + 3.5 * Math.max(0, 1 - Math.log10(count) / 4)) * (width < 560 ? 0.75 : 1);
    const [left, right] = [Math.min(...data.x), Math.max(...data.x)];
    const [low, high] = [Math.min(...data.y), Math.max(...data.y)];
    const pad = 26;
    const unit = Math.min((width - 2 * pad) / (right - left || 1), (height - 2 * pad) / (high - low || 1));
    const [cx, cy] = [(left + right) / 2, (low + high) / 2];
    const place = (x, y) => [width / 2 + (x - cx) * unit, height / 2 - (y - cy) * unit];
    [px, py] = [[], []];
    for (let i = 0; i < count; i++) [px[i], py[i]] = place(data.x[i], data.y[i]);
    return place;
  };
  const screen = (x, y) => [x * view.scale + view.x, y * view.scale + view.y];

  const draw = () => {
    const place = fit();
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const world = make("g", {}, svg);
    const dots = data.groups.map(() => []);
    for (let i = 0; i < count; i++) dots[data.group[i]].push(`M${px[i].toFixed(1)} ${py[i].toFixed(1)}h0`);
    const order = data.groups.map((_, group) => group).sort((a, b) => (a === view.only) - (b === view.only));
    for (const group of order) {
      make("path", { d: dots[group].join(""), class: "dots", stroke: colour(group), "stroke-width": size,
        opacity: view.only < 0 || view.only === group ? 0.85 : 0.1 }, world);
    }
    const marks = make("g", { class: "marks" }, svg);
    const labels = make("g", { class: "labels" }, svg);
    const hover = make("circle", { class: "hover", r: size / 2 + 3, visibility: "hidden" }, svg);
    const arrange = () => {
      world.setAttribute("transform", `translate(${view.x} ${view.y}) scale(${view.scale})`);
      marks.replaceChildren();
      if (data.chosen >= 0) {
        const [x, y] = screen(px[data.chosen], py[data.chosen]);
        for (const each of data.neighbours) {
          const [ex, ey] = screen(px[each], py[each]);
          make("line", { x1: x, y1: y, x2: ex, y2: ey }, marks);
          make("circle", { cx: ex, cy: ey, r: size / 2 + 1.5, class: "near" }, marks);
        }
        make("circle", { cx: x, cy: y, r: size / 2 + 5, class: "chosen" }, marks);
      }
      name(labels, place);
    };
    root.arrange = () => { arrange(); point(-1); };
    arrange();
    root.hover = hover;
  };

  // names at the middles of their groups, moved apart where they would lie on each other
  const name = (labels, place) => {
    labels.replaceChildren();
    if (width < 560) return; // the legend has them
    const boxes = [];
    const shown = data.groups.map((group, number) => ({ ...group, number }))
      .filter((group) => group.size && (view.only < 0 || view.only === group.number));
    for (const group of shown.sort((a, b) => b.size - a.size)) {
      const text = make("text", { "text-anchor": "middle" }, labels);
      text.textContent = group.name.length > 34 ? group.name.slice(0, 33) + "…" : group.name;
      const long = text.getComputedTextLength() || 7.4 * text.textContent.length; // 0 until it is laid out
      let [x, y] = screen(...place(group.x, group.y));
      if (x < 0 || y < 0 || x > width || y > height) { text.remove(); continue; }
      x = Math.min(Math.max(x, long / 2 + 6), width - long / 2 - 6);
      const lies = (ty) => boxes.some((b) => Math.abs(b.x - x) < (b.long + long) / 2 + 6 && Math.abs(b.y - ty) < 19);
      const free = [0, 1, -1, 2, -2, 3, -3, 4, -4].map((step) => y + 19 * step)
        .find((ty) => !lies(ty) && ty > 14 && ty < height - 8);
      if (free === undefined) { text.remove(); continue; } // the legend has it
      y = free;
      boxes.push({ x, y, long });
      text.setAttribute("x", x);
      text.setAttribute("y", y + 4);
    }
  };

  const point = (i) => {
    at = i;
    root.hover?.setAttribute("visibility", i < 0 ? "hidden" : "visible");
    tip.hidden = i < 0;
    svg.style.cursor = i < 0 ? "" : "pointer";
    if (i < 0) return;
    const [x, y] = screen(px[i], py[i]);
    root.hover.setAttribute("cx", x);
    root.hover.setAttribute("cy", y);
    const image = tip.querySelector("img");
    image.hidden = !data.images?.[i];
    if (data.images?.[i]) image.src = data.images[i];
    tip.querySelector("b").textContent = data.title[i];
    tip.querySelector(".note").textContent = data.note[i];
    const group = tip.querySelector(".group");
    group.textContent = data.groups[data.group[i]].name;
    group.style.setProperty("--colour", colour(data.group[i]));
    const kept = data.kept[i];
    tip.querySelector(".kept").textContent = kept === null ? ""
      : `${Math.round(kept * data.k)} of its ${data.k} nearest are among its ${data.k} nearest here`;
    const [w, h] = [tip.offsetWidth, tip.offsetHeight];
    const left = x + 14 + w <= width ? x + 14 : Math.max(0, x - 14 - w);
    tip.style.left = `${Math.min(left, Math.max(0, width - w))}px`;
    tip.style.top = `${Math.min(Math.max(0, y - h / 2), Math.max(0, height - h))}px`;
  };

  // whether an item is not dimmed: of the group that is singled out, or none is
  const lit = (i) => view.only < 0 || data.group[i] === view.only;
  const nearest = (x, y, reach) => {
    let best = -1, least = reach * reach;
    for (let i = 0; i < count; i++) {
      if (!lit(i)) continue;
      const [ex, ey] = screen(px[i], py[i]);
      const far = (ex - x) ** 2 + (ey - y) ** 2;
      if (far < least) [best, least] = [i, far];
    }
    return best;
  };
  const position = (event) => {
    const box = svg.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const choose = (i) => { if (i >= 0) setTriggerValue("chosen", data.row[i]); };

  const zoom = (factor, x = width / 2, y = height / 2) => {
    const scale = Math.min(Math.max(view.scale * factor, 1), 60);
    view.x = x - ((x - view.x) * scale) / view.scale;
    view.y = y - ((y - view.y) * scale) / view.scale;
    view.scale = scale;
    if (scale === 1) [view.x, view.y] = [0, 0];
    svg.style.touchAction = scale > 1 ? "none" : "pan-y";
    root.arrange();
  };

  svg.onpointermove = (event) => {
    const [x, y] = position(event);
    if (!drag) return point(nearest(x, y, 16));
    if (Math.hypot(x - drag.x, y - drag.y) > 4) drag.moved = true;
    if (!drag.moved || view.scale === 1) return;
    [view.x, view.y] = [drag.from[0] + x - drag.x, drag.from[1] + y - drag.y];
    root.arrange();
  };
  svg.onpointerdown = (event) => {
    const [x, y] = position(event);
    drag = { x, y, from: [view.x, view.y], moved: false };
    svg.setPointerCapture(event.pointerId);
  };
  svg.onpointerup = (event) => {
    const still = drag && !drag.moved;
    drag = null;
    if (still) choose(nearest(...position(event), event.pointerType === "touch" ? 28 : 16));
  };
  svg.onpointercancel = () => { drag = null; };
  svg.onpointerleave = () => { if (!drag) point(-1); };
  svg.onwheel = (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 300), ...position(event));
  };
  svg.onkeydown = (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Enter") choose(at);
    else if (event.key === "Escape") point(-1);
    else if (event.key === "+" || event.key === "-") zoom(event.key === "+" ? 1.6 : 1 / 1.6);
    else if (!step) return;
    else if (at < 0) {
      const chosen = data.chosen >= 0 && lit(data.chosen);
      point(chosen ? data.chosen : nearest(width / 2, height / 2, Infinity));
    }
    else {
      let best = -1, least = Infinity;
      for (let i = 0; i < count; i++) {
        if (!lit(i)) continue;
        const [dx, dy] = [px[i] - px[at], py[i] - py[at]];
        const ahead = dx * step[0] + dy * step[1];
        const far = ahead + 3 * Math.abs(dx * step[1] + dy * step[0]);
        if (ahead > 0.01 && far < least) [best, least] = [i, far];
      }
      if (best >= 0) point(best);
    }
    event.preventDefault();
  };
  for (const button of root.querySelectorAll(".zoom button")) {
    const factor = { in: 1.6, out: 1 / 1.6, all: 0 }[button.dataset.zoom];
    button.onclick = () => zoom(factor);
  }

  const list = () => {
    legend.replaceChildren(...data.groups.map((group, number) => {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", String(view.only === number));
      button.style.setProperty("--colour", colour(number));
      const label = document.createElement("span");
      label.textContent = group.name;
      const size = document.createElement("small");
      size.textContent = group.size.toLocaleString("en");
      button.append(label, size);
      button.onclick = () => {
        view.only = view.only === number ? -1 : number;
        list();
        draw();
        point(-1);
      };
      return button;
    }));
  };
  svg.setAttribute("aria-label", `Map of ${count} items in ${data.groups.length} groups. Arrow keys go from `
    + "item to item, Enter chooses.");
  svg.style.touchAction = view.scale > 1 ? "none" : "pan-y";
  list();
  draw();
  point(-1);
  const watch = new ResizeObserver(() => {
    if (svg.clientWidth === width && svg.clientHeight === height) return;
    draw();
    point(-1);
  });
  watch.observe(svg);
  return () => watch.disconnect();
}
