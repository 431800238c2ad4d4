import init from "./SCRIPT";

// Without any of the app's own code, since that is what failed. It says this where the program was lost in whatever way: by a
// fault of its own, for want of memory, or because it never began.
const tell = (text) => {
  if (document.querySelector(".broken")) return;
  const bar = document.createElement("div");
  const link = document.createElement("a");
  bar.className = "broken";
  bar.setAttribute("role", "alert");
  link.href = "";
  link.textContent = "Reload";
  bar.append(`${text} Your messages are safe. `, link);
  document.body.append(bar);
};

// Some web views lose a program now and then while they begin it (WebKitGTK 2.50 does). Nobody has done anything in the page
// yet, so it is loaded again by itself: once, and then it is told.
const isTriedAgain = () => {
  try {
    if (document.querySelector(".is-awake") || sessionStorage.getItem("again")) return false;
    sessionStorage.setItem("again", "1");
    location.reload();
    return true;
  } catch {
    return false;
  }
};
setTimeout(() => {
  try {
    sessionStorage.removeItem("again");
  } catch {}
}, 10000);

// What the program says of its own end is said to the console, right before the trap.
let lastWords = "";
const { error: say } = console;
console.error = (...words) => {
  lastWords = String(words[0]);
  say.apply(console, words);
};

// The desktop's core writes it down, for who looks into it later. A browser has its console.
const report = ({ message, stack }) => {
  const what = `${lastWords}\n${message}\n${stack}`.slice(0, 8192);
  globalThis.__TAURI_INTERNALS__?.invoke("page_broke", { ask: { what } }).catch(() => {});
};

const see = ({ error, reason }) => {
  const trap = globalThis.WebAssembly?.RuntimeError;
  const lost = error ?? reason;
  if (!trap || !(lost instanceof trap)) return;
  report(lost);
  if (!isTriedAgain()) tell("Something broke.");
};
addEventListener("error", see);
addEventListener("unhandledrejection", see);

// The door has several forms and one box to tick, which stands in one of them and is meant for all.
addEventListener("formdata", ({ formData }) => {
  if (document.querySelector("[name=stay]:checked")) formData.set("stay", "on");
});

try {
  await init({ module_or_path: new URL("./MODULE", import.meta.url) });
} catch (error) {
  // A page that the server drew does its work without the program. The desktop's core drew one for the eyes only.
  if (!document.getElementById("app") || globalThis.__TAURI_INTERNALS__) tell("CompyMac could not start here.");
  throw error;
}
