// Marks a video or a sound that this browser can't play, so that the page says so in its place; see widgets/player.py.
const fails = ({ target }) => {
  if (!target.matches?.(".es-video, .es-audio")) return;
  // one whose images can't be read has sound alone
  if (target.error || (target.matches(".es-video") && target.readyState >= HTMLMediaElement.HAVE_METADATA && !target.videoWidth)) {
    target.classList.add("es-unplayable");
  }
};
for (const event of ["error", "loadedmetadata"]) document.addEventListener(event, fails, true);
