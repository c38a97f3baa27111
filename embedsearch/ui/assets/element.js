// An element of HTML with its attributes, functions as properties, and what it holds.
const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
};
