// Shows the page once the code of its first elements is there: what Streamlit draws before has other heights.
const root = document.documentElement;
const latest = performance.now() + 15_000;
const look = () => {
  const drawn = document.querySelector(".st-key-es-nav a") && !document.querySelector("[data-testid=stSkeleton]");
  if (drawn || performance.now() > latest) root.classList.add("es-ready");
  else requestAnimationFrame(look);
};
look();
