// The terms of a query as chips, each with a slider for its weight; see widgets/weighted_terms.py.
const AHEAD = 1500; // milliseconds that a slider which was moved stays where it is
const signed = (weight) => `${weight < 0 ? "−" : "+"}${Math.abs(weight).toFixed(2)}`;

const chip = (each, data, tell) => {
  const range = element("input", {
    type: "range", step: data.step, "aria-label": `Weight of ${each.name}`,
    min: Math.min(data.least, each.weight), max: Math.max(data.most, each.weight),
  });
  const output = element("output");
  const made = element("li", { class: "es-term", "data-same": each.same });
  const shown = () => {
    const weight = Number(range.value);
    output.textContent = signed(weight);
    range.setAttribute("aria-valuetext", signed(weight));
    made.classList.toggle("es-less", weight < 0);
  };
  range.value = each.weight;
  range.oninput = () => {
    made.parentElement.moved = Date.now();
    shown();
  };
  range.onchange = () => tell({ act: "weight", key: each.key, weight: Number(range.value) });
  const label = `Remove ${each.name}`;
  const remove = element("button", { type: "button", "aria-label": label, title: label }, "✕");
  remove.onclick = () => tell({ act: "remove", key: each.key });
  const name = element("span", { class: "es-term-name", title: each.name }, each.name);
  if (each.image) made.append(element("img", { src: each.image, alt: "" }));
  made.append(name, range, output, remove);
  shown();
  return made;
};

export default function ({ parentElement, data, setTriggerValue }) {
  const list = parentElement.querySelector(".es-terms");
  const tell = (did) => setTriggerValue("did", did);
  list.classList.toggle("es-crops", data.crops);
  list.classList.toggle("es-asks", data.asks);
  const drawn = JSON.stringify(data);
  if (list.dataset.drawn !== drawn) {
    const focused = list.contains(document.activeElement) ? document.activeElement : null;
    const same = focused?.closest("li").dataset.same, tag = focused?.tagName;
    // a slider that is held, or moved by keys, is ahead of what the page knows
    const held = tag === "INPUT" && Date.now() - (list.moved ?? 0) < AHEAD ? focused.value : null;
    list.replaceChildren(...data.chips.map((each) => chip(each, data, tell)));
    const again = [...list.children].find((each) => each.dataset.same === same)?.querySelector(tag ?? "none");
    if (held !== null && again) {
      again.value = held;
      again.oninput();
    }
    again?.focus({ preventScroll: true });
    list.dataset.drawn = drawn;
  }
  const crop = ({ detail }) => tell({ act: "crop", ...detail });
  document.addEventListener("es-crop", crop);
  return () => document.removeEventListener("es-crop", crop);
}
