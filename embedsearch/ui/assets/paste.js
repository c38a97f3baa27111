// A button that takes an image from the clipboard, and Ctrl+V anywhere on the page.
export default function ({ parentElement, setTriggerValue, data }) {
  const button = parentElement.querySelector("button");
  const say = parentElement.querySelector("[role=status]");

  const send = (image) => {
    if (image.size > data.limit) {
      say.textContent = "That image is too large; upload it as a file.";
      return;
    }
    const reader = new FileReader();
    reader.onload = () => setTriggerValue("pasted", reader.result);
    reader.readAsDataURL(image);
    say.textContent = "";
  };

  const onPaste = (event) => {
    const item = [...event.clipboardData.items].find(
      (each) => each.kind === "file" && each.type.startsWith("image/"),
    );
    if (!item) return;
    event.preventDefault();
    send(item.getAsFile());
  };

  button.onclick = async () => {
    try {
      for (const item of await navigator.clipboard.read()) {
        const kind = item.types.find((type) => type.startsWith("image/"));
        if (kind) return send(await item.getType(kind));
      }
      say.textContent = "The clipboard holds no image.";
    } catch {
      say.textContent = "This browser keeps the clipboard to itself: press Ctrl+V (⌘V) instead.";
    }
  };

  if (data.listen) document.addEventListener("paste", onPaste);
  return () => document.removeEventListener("paste", onPaste);
}
