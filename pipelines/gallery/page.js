const one = (selector) => document.querySelector(selector);
const rows = JSON.parse(one("#rows").textContent);
const about = JSON.parse(one("#about").textContent);
const entries = rows.filter((row) => !row.error), failures = rows.filter((row) => row.error);
let kind, wanted = [];

// A card's content exists only while it is near the window, so that ten thousand scroll like ten.
const near = new IntersectionObserver((seen) => {
  for (const {target, isIntersecting} of seen) {
    if (isIntersecting && !target.firstChild) {
      kind.fill(target, target.entry);
      target.style.minHeight = "";
    } else if (!isIntersecting && !target.contains(document.activeElement)) {
      target.style.minHeight = `${target.offsetHeight}px`;
      target.replaceChildren();
    }
  }
}, {rootMargin: "1000px"});

function cardOf(entry, height) {
  const card = Object.assign(make("figure"), {entry});
  card.style.minHeight = height;
  near.observe(card);
  return card;
}

// What every card ends with: the file's name, and what is to be known of it.
function footer({path, warning}) {
  const name = make("div", "path", path.split(/[/\\]/).at(-1));
  name.title = path;
  return warning ? [name, make("div", "warning", warning)] : [name];
}

const inBase64 = (jpeg, alt) => Object.assign(new Image(), {src: `data:image/jpeg;base64,${jpeg}`, alt});

function show() {
  wanted = one("input").value.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = entries.filter((entry) => wanted.every((word) => entry.words.includes(word)));
  const all = `${entries.length.toLocaleString()} ${kind.nouns}`;
  one("#count").textContent = shown.length === entries.length ? all : `${shown.length.toLocaleString()} of ${all}`;
  near.disconnect();
  one("main").replaceChildren(...(shown.length ? kind.arrange(shown) : [make("div", "empty", kind.none)]));
}

/* Begin, once all is defined.
   search: what the field searches; nouns: of the entries; none: said where nothing is found; failed: of those that failed;
   words(entry): its words; fill(card, entry); arrange(entries): elements with their cards. */
function begin(what) {
  kind = what;
  for (const entry of entries) entry.words = kind.words(entry).join("\n").toLowerCase();
  Object.assign(one("input"), {placeholder: `${kind.search}   ( / )`, ariaLabel: kind.search});
  document.title = one("h1").textContent = about.title;
  if (about.pages.length > 1)
    one("nav").append(...about.pages.map((page, index) => index + 1 === about.page
      ? make("b", "", index + 1) : Object.assign(make("a", "", index + 1), {href: encodeURIComponent(page)})));
  if (failures.length) {
    one("details").hidden = false;
    one("summary").textContent = `${failures.length.toLocaleString()} ${kind.failed}`;
    one("ul").append(...failures.map((row) => make("li", "", `${row.path}: ${row.error}`)));
  }
  show();
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target === one("input")) return;
  event.preventDefault();
  one("input").focus();
});
let waiting;
one("input").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(show, 120) });
one("button").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
