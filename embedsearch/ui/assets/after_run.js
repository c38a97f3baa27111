// After each run of the script: what was found is announced, and a focus whose element is gone finds a new place.
let asked = null, said = "", focused = null, live = null;

const ended = () => {
  const nav = document.querySelector(".st-key-es-nav");
  nav?.setAttribute("role", "navigation");
  nav?.setAttribute("aria-label", "Pages");
  const found = [...document.querySelectorAll(".es-announced")];
  const text = found.map((each) => each.textContent.trim()).join(" ");
  if (text !== said) live.textContent = said = text;
  if (!focused || focused.isConnected || document.activeElement !== document.body) return;
  focused = null;
  const place = found[0] ?? document.querySelector("[data-testid=stMainBlockContainer]");
  place.tabIndex = -1;
  place.focus({ preventScroll: true });
};

const watch = () => {
  const host = document.createElement("div");
  host.className = "es-unseen";
  live = document.createElement("div");
  live.setAttribute("role", "status");
  host.attachShadow({ mode: "closed" }).append(live); // so that a search of the page finds its texts once
  document.body.append(host);
  document.addEventListener("focusin", (event) => { focused = event.target; });
  const app = document.querySelector(".stApp");
  const look = () => {
    const still = () => app.dataset.testScriptState === "notRunning";
    // what is stale goes first, and what is new may come late, on a busy machine seconds later
    for (let later = 100; still() && later <= 4000; later += 200) setTimeout(() => still() && ended(), later);
  };
  look();
  new MutationObserver(look).observe(app, { attributes: true, attributeFilter: ["data-test-script-state"] });
};

export default function ({ data }) {
  if (!live) watch();
  if (asked !== null && asked !== data.asked) {
    document.querySelector("[data-testid=stMain]")?.scrollTo({ top: 0, behavior: "instant" });
  }
  asked = data.asked;
}
