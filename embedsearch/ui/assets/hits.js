// Hits as cards. What a card's button does is told to the page as { act, place, item, ... }; see widgets/hits.py.
const card = (html) => {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  return holder.content.firstElementChild;
};

// Draws only the cards that changed: the focus stays on a button whose card is still the same item's.
const draw = (grid, cards) => {
  const shown = grid.shown ?? [];
  const focused = grid.contains(document.activeElement) ? document.activeElement : null;
  const [item, act] = focused ? [focused.closest(".es-card").dataset.item, focused.dataset.act] : [];
  cards.forEach((html, at) => {
    if (shown[at] === html) return;
    if (grid.children[at]) grid.children[at].replaceWith(card(html));
    else grid.append(card(html));
  });
  while (grid.children.length > cards.length) grid.lastElementChild.remove();
  grid.shown = cards;
  if (!focused || focused.isConnected || !act) return;
  const same = [...grid.children].find((each) => each.dataset.item === item);
  same?.querySelector(`[data-act="${act}"]`)?.focus({ preventScroll: true });
};

export default function ({ parentElement, data, setTriggerValue }) {
  const grid = parentElement.querySelector(".es-hits");
  grid.className = data.kind;
  draw(grid, data.cards);
  grid.onclick = (event) => {
    const button = event.target.closest("[data-act]");
    if (!button || event.ctrlKey || event.metaKey) return; // a link in a new tab
    event.preventDefault();
    const { act, ...more } = button.dataset;
    const { place, item } = button.closest("[data-place]").dataset;
    setTriggerValue("did", { act, place: Number(place), item, ...more });
  };
}
