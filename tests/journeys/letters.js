// What is wrong with how a letter is drawn, as a list of sentences; its link and its code, as they can be seen.
const page = document.documentElement;
const faults = [];

if (page.scrollWidth > page.clientWidth) {
  faults.push(`it is ${page.scrollWidth} pixels wide in a window of ${page.clientWidth}`);
}
for (const element of document.body.querySelectorAll('*')) {
  const { left, right, width } = element.getBoundingClientRect();
  if (width > 0 && (left < -0.5 || right > page.clientWidth + 0.5)) {
    faults.push(`<${element.localName} class="${element.className}"> reaches from ${left} to ${right}`);
  }
}

const parts = (colour) => {
  const [red, green, blue, alpha = 1] = colour.match(/[\d.]+/g).map(Number);
  return { red, green, blue, alpha };
};
const over = (top, below) => {
  const mixed = (name) => top[name] * top.alpha + below[name] * (1 - top.alpha);
  return { red: mixed('red'), green: mixed('green'), blue: mixed('blue'), alpha: 1 };
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
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const said = texts.currentNode.data.trim();
  const parent = texts.currentNode.parentElement;
  if (!said) continue;
  const behind = ground(parent);
  const before = over(parts(getComputedStyle(parent).color), behind);
  const [dark, light] = [luminance(before), luminance(behind)].sort((one, other) => one - other);
  const ratio = (light + 0.05) / (dark + 0.05);
  if (ratio < 4.5) faults.push(`"${said.slice(0, 40)}" stands out by ${ratio.toFixed(2)}:1 alone`);
  if (parseFloat(getComputedStyle(parent).fontSize) < 12) faults.push(`"${said.slice(0, 40)}" is tiny`);
}

// whether whoever opens the letter sees it without scrolling, and nothing lies over it
const seen = (element) => {
  if (!element) return null;
  const { left, right, top, bottom, width, height } = element.getBoundingClientRect();
  const hit = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
  return width > 0 && height >= 32 && element.contains(hit) ? element : null;
};
const button = seen(document.querySelector('a.button'));
const code = seen(document.querySelector('.code'));
return {
  faults,
  link: button && button.href,
  ground: getComputedStyle(document.body).backgroundColor,
  // a code that is broken over two lines is read as two
  code: code && code.getClientRects().length === 1 && code.offsetHeight < 64 ? code.innerText : null,
};
