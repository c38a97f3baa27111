// Values of fields to filter by; each tick tells the page all that are picked in its field. See widgets/facets.py.
export default function ({ parentElement, data, setTriggerValue }) {
  const list = parentElement.querySelector(".es-facets");
  if (list.shown !== data.html) {
    const open = new Set([...list.querySelectorAll("details[open]")].map((each) => each.parentElement.dataset.field));
    const had = document.activeElement?.closest?.(".es-facet input");
    const [field, value] = had ? [had.closest(".es-facet").dataset.field, had.value] : [];
    list.shown = data.html;
    list.innerHTML = data.html;
    for (const facet of list.children) {
      if (open.has(facet.dataset.field)) facet.querySelector("details")?.setAttribute("open", "");
      // a tick moves its value to the top: the focus goes with it
      if (facet.dataset.field === field) {
        [...facet.querySelectorAll("input")].find((each) => each.value === value)?.focus({ preventScroll: true });
      }
    }
  }
  list.onchange = ({ target }) => {
    const facet = target.closest(".es-facet");
    const values = [...facet.querySelectorAll("input:checked")].map((each) => each.value);
    setTriggerValue("set", { field: facet.dataset.field, values });
  };
}
