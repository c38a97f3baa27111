// A part of an enlarged image to search with: a frame that is drawn with the pointer, or moved by keys. The part
// is told as an event `es-crop`, its edges as shares of the image; see widgets/weighted_terms.py and lightbox.js.
const LEAST = 0.02, STEP = 0.02; // shares of the image: the smallest side, and how far a key moves
const HINT = "Draw a frame, or move it by the arrow keys; with Shift they change its size";
const clamp = (value, least, most) => Math.min(Math.max(value, least), most);

const button = (label, className, act) => {
  const made = element("button", { type: "button", class: className }, label);
  made.onclick = act;
  return made;
};

const begin = (stage, image, about) => {
  stage.querySelector(".es-crop")?.remove();
  let box = (about.box ?? "0.25,0.25,0.75,0.75").split(",").map(Number);
  const frame = element("div", { class: "es-crop-frame", tabindex: "0", role: "group", "aria-roledescription": "frame" },
    ...["nw", "ne", "sw", "se"].map((corner) => element("i", { "data-corner": corner })));
  const over = element("div", { class: "es-crop-over" }, frame);
  const end = () => {
    watch.disconnect();
    whole.remove();
    stage.classList.remove("es-cropping");
    stage.closest("dialog")?.querySelector(".es-crop-start")?.focus();
  };
  const search = (adds = false) => {
    document.dispatchEvent(new CustomEvent("es-crop", { detail: { item: about.item, kept: about.kept, box, adds } }));
    stage.closest("dialog").close();
  };
  const asks = document.querySelector(".es-crops.es-asks"); // what the part can be added to
  const bar = element("div", { class: "es-crop-bar" }, element("span", {}, HINT),
    button("Search with this part", "es-crop-go", () => search()),
    ...(asks ? [button("Add this part to the query", "", () => search(true))] : []), button("Cancel", "", end));
  const whole = element("div", { class: "es-crop" }, over, bar);

  const draw = () => {
    const [left, top, right, bottom] = box;
    Object.assign(frame.style, {
      left: `${100 * left}%`, top: `${100 * top}%`,
      width: `${100 * (right - left)}%`, height: `${100 * (bottom - top)}%`,
    });
    const [l, t, r, b] = box.map((edge) => Math.round(100 * edge));
    frame.setAttribute("aria-label", `Part of the image from ${l} to ${r} % of its width and ${t} to ${b} % of its height. ${HINT}`);
  };
  // the image may be smaller than its element, which keeps the room of a large one
  const place = () => {
    const { naturalWidth, naturalHeight, clientWidth, clientHeight, offsetLeft, offsetTop } = image;
    const scale = Math.min(clientWidth / naturalWidth, clientHeight / naturalHeight);
    const [width, height] = [naturalWidth * scale, naturalHeight * scale];
    Object.assign(over.style, {
      left: `${offsetLeft + (clientWidth - width) / 2}px`, top: `${offsetTop + (clientHeight - height) / 2}px`,
      width: `${width}px`, height: `${height}px`,
    });
  };
  const moved = ([left, top, right, bottom], x, y) => {
    const dx = clamp(x, -left, 1 - right), dy = clamp(y, -top, 1 - bottom);
    return [left + dx, top + dy, right + dx, bottom + dy];
  };
  const at = (event) => {
    const { left, top, width, height } = over.getBoundingClientRect();
    return [clamp((event.clientX - left) / width, 0, 1), clamp((event.clientY - top) / height, 0, 1)];
  };
  over.onpointerdown = (event) => {
    event.preventDefault();
    over.setPointerCapture(event.pointerId);
    const [x, y] = at(event), before = [...box], corner = event.target.dataset.corner;
    const inside = event.target === frame;
    // a corner is drawn from the one across; a new frame from where the pointer is
    const [fromX, fromY] = corner
      ? [corner.includes("w") ? before[2] : before[0], corner.includes("n") ? before[3] : before[1]] : [x, y];
    over.onpointermove = (move) => {
      const [toX, toY] = at(move);
      if (inside) box = moved(before, toX - x, toY - y);
      else if (Math.abs(toX - fromX) >= LEAST && Math.abs(toY - fromY) >= LEAST) {
        box = [Math.min(fromX, toX), Math.min(fromY, toY), Math.max(fromX, toX), Math.max(fromY, toY)];
      }
      draw();
    };
    over.onpointerup = over.onpointercancel = () => {
      over.onpointermove = null;
      frame.focus({ preventScroll: true });
    };
  };
  frame.onkeydown = (event) => {
    const way = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key];
    if (way && event.shiftKey) {
      const [left, top, right, bottom] = box;
      box = [left, top, clamp(right + way[0], left + LEAST, 1), clamp(bottom + way[1], top + LEAST, 1)];
    } else if (way) box = moved(box, ...way);
    else if (event.key === "Enter") search();
    else if (event.key === "Escape") end();
    else return;
    event.preventDefault();
    event.stopPropagation(); // else the arrows lead to the next image
    draw();
  };
  whole.onkeydown = (event) => {
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") event.stopPropagation();
  };
  const watch = new ResizeObserver(place);
  watch.observe(image);
  stage.classList.add("es-cropping");
  stage.append(whole);
  place();
  draw();
  frame.focus({ preventScroll: true });
};

document.addEventListener("click", (event) => {
  const start = event.target.closest?.(".es-crop-start");
  if (!start) return;
  const stage = start.closest("dialog").querySelector(".es-box-stage"), image = stage.querySelector("img");
  if (image?.naturalWidth) begin(stage, image, start.dataset);
  else image?.addEventListener("load", () => image.isConnected && begin(stage, image, start.dataset), { once: true });
});
