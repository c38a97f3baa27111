// Two lists of hits, joined by lines: a hit that is pointed at, or has the focus, shows where it is on the other
// side; see widgets/versus.py.
export default function ({ parentElement, data, setTriggerValue }) {
  const host = parentElement.querySelector(".es-besides");
  if (host.drawn !== data.html) {
    host.innerHTML = data.html;
    host.drawn = data.html;
  }
  const light = (hit) => {
    for (const each of host.querySelectorAll(".es-lit")) each.classList.remove("es-lit");
    if (!hit) return;
    hit.classList.add("es-lit");
    const { side, at } = hit.dataset;
    const line = host.querySelector(`line[data-${side}="${at}"]`);
    if (!line) return;
    line.classList.add("es-lit");
    const other = side === "left" ? "right" : "left";
    host.querySelector(`[data-side="${other}"][data-at="${line.dataset[other]}"]`)?.classList.add("es-lit");
  };
  host.onpointerover = (event) => light(event.target.closest(".es-beside"));
  host.onpointerleave = () => light(null);
  host.onfocusin = (event) => light(event.target.closest(".es-beside"));
  host.onclick = (event) => {
    const button = event.target.closest("[data-act=like]");
    if (!button) return;
    const { side, at } = button.closest(".es-beside").dataset;
    setTriggerValue("did", { side, at: Number(at) });
  };
}
