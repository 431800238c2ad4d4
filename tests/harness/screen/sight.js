// What is wrong with how a page is drawn, as a list of sentences; and what of it is in sight without scrolling.
const root = document.documentElement;
// What is on its way to another colour or place is judged where it comes to rest.
for (const one of document.getAnimations()) {
  if (one.effect?.getComputedTiming().endTime !== Infinity) one.finish();
}
const faults = [];
const seen = [];
const SLACK = 2;

if (root.scrollWidth > root.clientWidth) {
  faults.push(`it is ${root.scrollWidth} pixels wide in a window of ${root.clientWidth}`);
}

const parts = (colour) => {
  const numbers = colour.match(/-?[\d.]+(?:e-?\d+)?/g).map(Number);
  const scale = colour.startsWith("color(") ? 255 : 1;
  const [red, green, blue] = numbers.map((part) => part * scale);
  return { red, green, blue, alpha: numbers[3] ?? 1 };
};
const over = (top, below) => {
  const mixed = (name) => top[name] * top.alpha + below[name] * (1 - top.alpha);
  return { red: mixed("red"), green: mixed("green"), blue: mixed("blue"), alpha: 1 };
};
const ground = (element) => {
  if (!element) return { red: 255, green: 255, blue: 255, alpha: 1 };
  const own = parts(getComputedStyle(element).backgroundColor);
  return own.alpha === 1 ? own : over(own, ground(element.parentElement));
};
// WCAG 2.2's relative luminance
const luminance = ({ red, green, blue }) => {
  const [r, g, b] = [red, green, blue]
    .map((byte) => byte / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const standsOut = (element) => {
  const behind = ground(element);
  const before = over(parts(getComputedStyle(element).color), behind);
  const [dark, light] = [luminance(before), luminance(behind)].sort((one, other) => one - other);
  return (light + 0.05) / (dark + 0.05);
};

const chain = (element) => {
  const all = [];
  for (let one = element; one; one = one.parentElement) all.push(one);
  return all;
};
// Meant for who hears the page, or not there at all.
const isForEars = (around) =>
  around.some((one) => getComputedStyle(one).clipPath !== "none") ||
  !around[0].checkVisibility({ visibilityProperty: true });
// What is dimmed as a whole is not judged by its colour: a control that is off, a message that waits.
const isDimmed = (around) => around.some((one) => one.matches(":disabled") || getComputedStyle(one).opacity !== "1");

// How a text is cut where nobody can scroll to the rest and no ellipsis says that there is one; nothing: it is not.
const cutAt = (around, box) => {
  for (const one of around) {
    const style = getComputedStyle(one);
    const frame = one.getBoundingClientRect();
    const isOut = {
      x: box.left < frame.left - SLACK || box.right > frame.right + SLACK,
      y: box.top < frame.top - SLACK || box.bottom > frame.bottom + SLACK,
    };
    const clips = { x: style.overflowX !== "visible", y: style.overflowY !== "visible" };
    if ((isOut.x && clips.x) || (isOut.y && clips.y)) {
      const scrolls = (way) => way === "auto" || way === "scroll";
      const isReached = (!isOut.x || scrolls(style.overflowX)) && (!isOut.y || scrolls(style.overflowY));
      const isSaid = style.textOverflow === "ellipsis" || style.webkitLineClamp !== "none";
      return isReached || isSaid ? null : `<${one.localName} class="${one.className}">`;
    }
    if (style.position === "fixed") break;
  }
  return box.left < -SLACK || box.right > root.clientWidth + SLACK ? "the window" : null;
};

const isInSight = (element, box) => {
  const [x, y] = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
  const hit = document.elementFromPoint(x, y);
  return Boolean(hit) && (element.contains(hit) || hit.contains(element));
};

const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const said = texts.currentNode.data.trim();
  const element = texts.currentNode.parentElement;
  if (!said || element.closest("script, style, template, select, textarea")) continue;
  const around = chain(element);
  if (isForEars(around)) continue;
  const range = document.createRange();
  range.selectNodeContents(texts.currentNode);
  const box = range.getBoundingClientRect();
  if (box.width === 0 || box.height === 0) continue;
  const told = said.slice(0, 40);
  const cut = cutAt(around, box);
  if (cut) faults.push(`"${told}" is cut off by ${cut}`);
  if (isInSight(element, box)) seen.push(said);
  const { fontSize, fontWeight } = getComputedStyle(element);
  const isLarge = parseFloat(fontSize) >= 24 || (parseFloat(fontSize) >= 18.66 && fontWeight >= 700);
  const ratio = standsOut(element);
  if (!isDimmed(around) && ratio < (isLarge ? 3 : 4.5)) {
    faults.push(`"${told}" stands out by ${ratio.toFixed(2)}:1 alone`);
  }
}
return { faults, seen: seen.join("\n"), ground: getComputedStyle(root).backgroundColor };
