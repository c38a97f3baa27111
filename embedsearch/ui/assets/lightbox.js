// An image of a card at its full size, a video or a sound in its player, with the card's fields: the arrow keys
// lead to the image before and after it. Works on every `.es-image`; see widgets/cards.py.
const OPEN = ".es-image[data-media]";
const MOST_GROWN = 2; // times that a small image is enlarged
let box = null, at = null;

const button = (label, className, act) => {
  const made = element("button", { type: "button", class: className, "aria-label": label, title: label });
  made.onclick = act;
  return made;
};

const others = () => [...document.querySelectorAll(OPEN)];

const step = (by) => {
  const all = others();
  const next = all[all.indexOf(at) + by];
  if (next) show(next);
};

const player = (of) => {
  const { media, kind, name, moment, reason } = of.dataset;
  const tag = kind === "video" ? "video" : "audio";
  const still = element("div", { class: "es-still" }, element("p", {}, reason));
  const playing = element(tag, {
    class: `es-${tag}`, controls: "", preload: "metadata", "aria-label": name, src: `${media}#t=${moment}`,
  });
  if (kind === "video") playing.setAttribute("playsinline", "");
  if (kind === "sound") return [element("img", { alt: name, src: `${media}/small` }), playing, still];
  still.prepend(element("img", { alt: name, src: of.querySelector("img")?.src ?? "" }));
  return [playing, still];
};

const facts = (of) => {
  const { media, path } = of.dataset;
  const side = element("div", { class: "es-box-facts" });
  const body = of.closest(".es-card, [class*=st-key-es-card-], [class*=st-key-es-copy-]")?.querySelector(".es-body");
  side.append(body ? body.cloneNode(true) : element("p", {}, of.dataset.name));
  for (const folded of side.querySelectorAll("details")) folded.open = true;
  for (const link of side.querySelectorAll("a")) link.replaceWith(link.textContent);
  const row = element("p", { class: "es-box-doors" });
  row.append(element("a", { href: media, target: "_blank", rel: "noopener" }, "Open file"));
  if (path) {
    const copy = element("button", { type: "button" }, "Copy path");
    copy.onclick = async () => {
      try {
        await navigator.clipboard.writeText(path);
        copy.textContent = "Copied";
      } catch {
        copy.replaceWith(element("code", {}, path));
      }
    };
    row.append(copy);
  }
  const { item, kept, box: part } = of.dataset;
  if (of.dataset.kind === "image" && (item || kept) && document.querySelector(".es-crops")) {
    const about = { "data-item": item, "data-kept": kept, "data-box": part };
    const said = Object.entries(about).filter(([, value]) => value);
    row.append(element("button", { type: "button", class: "es-crop-start", ...Object.fromEntries(said) }, "Search with a part"));
  }
  side.append(row);
  return side;
};

const show = (of) => {
  at = of;
  const { media, kind, name } = of.dataset;
  const stage = element("div", { class: "es-box-stage" });
  if (kind === "image") {
    const image = element("img", { alt: name, src: `${media}/large` });
    image.onload = () => { image.style.width = `${MOST_GROWN * image.naturalWidth}px`; };
    stage.append(image);
  }
  else stage.append(...player(of));
  const all = others(), place = all.indexOf(of);
  const before = button("Previous", "es-box-step es-box-before", () => step(-1));
  const after = button("Next", "es-box-step es-box-after", () => step(1));
  before.disabled = place <= 0;
  after.disabled = place < 0 || place === all.length - 1;
  if (all.length > 1) stage.append(before, after);
  box.setAttribute("aria-label", name);
  box.replaceChildren(stage, facts(of), button("Close", "es-box-close", () => box.close()));
};

const made = () => {
  box = element("dialog", { class: "es-box", role: "dialog" });
  box.onclick = (event) => { if (event.target === box) box.close(); };
  box.onkeydown = (event) => {
    if (event.target.matches("audio, video")) return; // there they lead through the time
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  };
  box.onclose = () => {
    box.replaceChildren();
    at?.querySelector("button")?.focus();
  };
  document.querySelector(".stApp").append(box); // where the theme is
};

document.addEventListener("click", (event) => {
  const of = event.target.closest?.(OPEN);
  if (!of || event.target.closest("audio")) return;
  if (!box) made();
  show(of);
  box.showModal();
  box.querySelector("video, audio, .es-box-close")?.focus();
});

// An image that can't be read any more is replaced by its name, as one whose file is gone
document.addEventListener("error", ({ target }) => {
  if (!target.matches?.(".es-image > img")) return;
  const of = target.parentElement;
  const lost = element("div", { class: "es-missing", role: "img", "aria-label": `${of.dataset.name}: ${of.dataset.lost}` });
  lost.append(element("span", {}, of.dataset.name), element("small", {}, of.dataset.lost));
  of.replaceWith(lost);
}, true);
