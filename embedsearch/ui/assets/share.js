// The menus Share and Searches; see widgets/share.py. Searches are kept in this browser's storage alone.
const RECENT = "embedsearch.recent", SAVED = "embedsearch.saved", MOST = 12;

const read = (name) => {
  try {
    const kept = JSON.parse(localStorage.getItem(name) ?? "[]");
    return Array.isArray(kept) ? kept.filter((each) => typeof each?.search === "string") : [];
  } catch {
    return [];
  }
};

const write = (name, list) => {
  try {
    localStorage.setItem(name, JSON.stringify(list));
  } catch { /* a browser may keep nothing */ }
};

const menu = (label, className, ...children) =>
  element("details", { class: `es-menu ${className}` }, element("summary", {}, label), element("div", {}, ...children));

const copier = (label, text) => {
  const button = element("button", { type: "button" }, label);
  button.onclick = async () => {
    try {
      await navigator.clipboard.writeText(text());
      button.textContent = "Copied";
    } catch {
      button.after(element("textarea", { readonly: "", rows: 3 }, text()));
    }
    setTimeout(() => { button.textContent = label; }, 1500);
  };
  return button;
};

const heading = (text) => element("p", { class: "es-menu-head" }, text);

export default function ({ parentElement, data, setTriggerValue }) {
  const host = parentElement.querySelector(".es-share");
  const here = { search: data.search, label: data.label, index: data.index };
  const recent = [here, ...read(RECENT).filter((each) => each.search !== here.search)].slice(0, MOST);
  write(RECENT, recent);

  const entry = (each, list, drawn) => {
    const forget = element("button", {
      type: "button", class: "es-forget", "aria-label": `Forget ${each.label}`, title: "Forget",
      onclick: () => { write(list, read(list).filter((other) => other.search !== each.search)); drawn(); },
    }, "✕");
    const go = element("button", { type: "button", onclick: () => setTriggerValue("go", each.search) },
      each.label, element("small", {}, ` ${each.index}`));
    return element("div", { class: "es-search" }, go, forget);
  };

  const searches = element("div");
  const drawn = () => {
    const saved = read(SAVED);
    const isSaved = saved.some((each) => each.search === here.search);
    const save = element("button", {
      type: "button", disabled: isSaved ? true : undefined,
      onclick: () => { write(SAVED, [here, ...read(SAVED)]); drawn(); },
    }, isSaved ? "★ Saved" : "☆ Save this search");
    if (!isSaved) save.removeAttribute("disabled");
    const before = read(RECENT).filter((each) => each.search !== here.search);
    searches.replaceChildren(save,
      ...(saved.length ? [heading("Saved"), ...saved.map((each) => entry(each, SAVED, drawn))] : []),
      ...(before.length ? [heading("Recent"), ...before.map((each) => entry(each, RECENT, drawn))] : []));
  };
  drawn();

  const files = data.files.map(([label, at]) => element("a", { href: at, download: "" }, label));
  const wasOpen = [...host.querySelectorAll("details[open]")].map((each) => each.className);
  host.replaceChildren(
    menu("Share", "es-menu-share", heading("Save what was found"), ...files, heading("Copy"),
      copier("Link", () => location.href), ...data.commands.map(([label, text]) => copier(label, () => text))),
    menu("Searches", "es-menu-searches", searches),
  );
  for (const each of host.children) {
    each.open = wasOpen.includes(each.className) && here.search === host.dataset.search;
    each.onkeydown = (event) => {
      if (event.key !== "Escape") return;
      each.open = false;
      each.querySelector("summary").focus();
    };
    each.ontoggle = () => {
      if (each.open) for (const other of host.children) if (other !== each) other.open = false;
    };
  }
  host.dataset.search = here.search;
  const away = ({ target }) => {
    for (const each of host.children) if (!each.contains(target) && target.isConnected) each.open = false;
  };
  document.addEventListener("click", away);
  return () => document.removeEventListener("click", away);
}
