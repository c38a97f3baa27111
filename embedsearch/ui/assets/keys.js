// Keys of the Search page: / to the field, arrows through the hits, Enter, w for why, ? for this list.
const KEYS = [
  ["/", "Go to the search field"],
  ["← → ↑ ↓", "Go through the hits"],
  ["Enter", "Open the image, or find more like this"],
  ["w", "Why was this found?"],
  ["Esc", "Close what is open"],
  ["?", "This list"],
];
let list = null;

const help = () => {
  if (!list) {
    list = document.createElement("dialog");
    list.className = "es-keys";
    list.setAttribute("role", "dialog");
    list.setAttribute("aria-label", "Keys");
    const rows = KEYS.map(([key, text]) => `<dt><kbd>${key}</kbd></dt><dd>${text}</dd>`).join("");
    list.innerHTML = `<h2>Keys</h2><dl>${rows}</dl><form method="dialog"><button>Close</button></form>`;
    list.onclick = (event) => { if (event.target === list) list.close(); };
    document.querySelector(".stApp").append(list); // where the theme is
  }
  list.showModal();
};

const centre = (card) => {
  const { left, top, width, height } = card.getBoundingClientRect();
  return [left + width / 2, top + height / 2];
};

// The next card to a side; above and below, the one whose middle is nearest in the next row
const beside = (cards, at, key) => {
  if (at < 0) return cards.find((card) => card.getBoundingClientRect().bottom > 0);
  if (key === "ArrowRight") return cards[at + 1];
  if (key === "ArrowLeft") return cards[at - 1];
  const [x, y] = centre(cards[at]), half = cards[at].getBoundingClientRect().height / 2;
  const way = key === "ArrowDown" ? 1 : -1;
  const beyond = cards.filter((card) => way * (centre(card)[1] - y) > half);
  const far = (card) => Math.hypot(centre(card)[0] - x, 4 * (centre(card)[1] - y));
  return beyond.reduce((best, card) => (!best || far(card) < far(best) ? card : best), undefined);
};

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (target.closest?.("input, textarea, select, [contenteditable], [role=slider], [role=listbox], [role=dialog], audio, video")) return;
  const cards = [...document.querySelectorAll(".es-card")], own = target.closest?.(".es-card");
  const act = (() => {
    if (key === "/") return () => document.querySelector(".st-key-search-text input")?.focus();
    if (!cards.length) return null;
    if (key === "?") return help;
    if (key === "w") return () => (own ?? cards[0]).querySelector("[data-act=why]")?.click();
    if (key === "Enter" && own === target) {
      return () => own.querySelector(".es-image > img, [data-act=like]")?.click();
    }
    // from outside only sideways, as up and down scroll the page
    if (/^Arrow(Left|Right)$/.test(key) || (own && /^Arrow(Up|Down)$/.test(key))) {
      return () => {
        const next = beside(cards, cards.indexOf(own), key);
        next?.focus({ preventScroll: true });
        next?.scrollIntoView({ block: "nearest" });
      };
    }
    return null;
  })();
  if (!act) return;
  event.preventDefault();
  act();
});
