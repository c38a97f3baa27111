// Returns the contrast (WCAG 2.2) of each piece of text: [contrast, class, text].
() => {
  const pen = Object.assign(document.createElement("canvas"), {width: 1, height: 1}).getContext("2d", {willReadFrequently: true});
  const read = (color) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = color;
    pen.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = pen.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = ([red, green, blue, alpha], under) => [red, green, blue].map((each, at) => each * alpha + under[at] * (1 - alpha));
  const light = (color) => {
    const [red, green, blue] = color.map((each) => each / 255).map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  // the ground and the text as they are painted: an element with an opacity is painted whole, then let through
  const painted = ([first, ...rest], ground) => {
    const style = getComputedStyle(first);
    const own = over(read(style.backgroundColor), ground);
    const [back, text] = rest.length ? painted(rest, own) : [own, over(read(style.color), own)];
    const share = Number(style.opacity);
    return [back, text].map((color) => color.map((each, at) => each * share + ground[at] * (1 - share)));
  };
  const above = (element) => element.parentElement ?? element.getRootNode().host ?? null;
  const hosts = [...document.querySelectorAll("*")].filter((element) => element.shadowRoot);
  const found = [];
  for (const root of [document.body, ...hosts.map((host) => host.shadowRoot)]) {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const owner = node.parentElement;
      if (!node.data.trim() || !owner || owner.closest("style, script, svg, [disabled], [data-testid=stIconMaterial]")) continue;
      // a slider's value stands above its handle, not on it; the ends of its range are shown when it is pointed at
      if (owner.closest("[data-testid=stSliderThumbValue], [data-testid=stSliderTickBar]")) continue;
      const box = owner.getBoundingClientRect();
      if (box.width < 2 || box.height < 2 || !owner.checkVisibility({visibilityProperty: true})) continue;
      const chain = [];
      for (let each = owner; each; each = above(each)) chain.unshift(each);
      const [back, text] = painted(chain, [255, 255, 255]).map(light);
      const contrast = (Math.max(back, text) + 0.05) / (Math.min(back, text) + 0.05);
      found.push([Math.round(contrast * 100) / 100, String(owner.className), node.data.trim().slice(0, 40)]);
    }
  }
  return found;
}
