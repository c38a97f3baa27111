// Hits as cards. What a card's button does is told to the page as { act, place, ... }; see widgets/hits.py.
export default function ({ parentElement, data, setTriggerValue }) {
  const grid = parentElement.querySelector(".es-hits");
  if (grid.shown !== data.html) {
    grid.shown = data.html;
    grid.className = data.kind;
    grid.innerHTML = data.html;
  }
  grid.onclick = (event) => {
    const button = event.target.closest("[data-act]");
    if (!button || event.ctrlKey || event.metaKey) return; // a link in a new tab
    event.preventDefault();
    const { act, ...more } = button.dataset;
    const place = Number(button.closest("[data-place]").dataset.place);
    setTriggerValue("did", { act, place, ...more });
  };
}
