"use strict";
// The server's page: it posts each file, shows what comes back, and keeps nothing but what is on it.
const one = (selector) => document.querySelector(selector);
const TOGETHER = 4; // requests; the server puts what comes at the same time into one batch
const TASKS = {
  caption: {title: "Caption photos and clips", kinds: ["caption", "video"]},
  classify: {title: "Classify clips", kinds: ["classify"]},
  label: {title: "Tell by labels", kinds: ["caption"], address: "classify"},
  read: {title: "Read text lines", kinds: ["read"]},
};
const AREAS = [["top left", "top", "top right"], ["left", "middle", "right"], ["bottom left", "bottom", "bottom right"]];
const waiting = [], cards = [];
let running = 0, stopping = new AbortController(), models = [];

function headers() {
  const token = one("#token").value;
  return token ? {Authorization: `Bearer ${token}`} : {};
}

async function start() {
  const response = await fetch("/v1/models", {headers: headers()});
  one("#secret").hidden = response.ok && !one("#token").value;
  if (response.status === 401) return trouble(one("#token").value ? "This token is wrong." : "This server asks for its token.");
  if (!response.ok) return trouble((await response.json()).detail);
  trouble("");
  const about = await response.json();
  models = about.models;
  const tasks = Object.entries(TASKS).filter(([, {kinds}]) => models.some(({kind}) => kinds.includes(kind)));
  one("#task").replaceChildren(...tasks.map(([value, {title}]) => new Option(title, value)));
  const names = new Intl.DisplayNames("en", {type: "language"});
  one("#language").replaceChildren(...about.languages.map((each) => new Option(names.of(each), each)));
  choose();
}

function choose() {
  const task = one("#task").value;
  const fit = models.filter(({kind}) => TASKS[task]?.kinds.includes(kind));
  one("#model").replaceChildren(...fit.map(({name}) => new Option(name)));
  for (const each of document.querySelectorAll("[data-for]")) each.hidden = !each.dataset.for.split(" ").includes(task);
}

// Captions that are there are shown in another language: asked for anew, so that each word keeps where it was seen.
function speak() {
  const language = one("#language").value;
  for (const card of cards) {
    if (card.task !== "caption" || !card.row || card.row.error || card.language === language) continue;
    card.language = language;
    card.form.set("language", language);
    card.row = card.rows[language];
    if (card.row) fill(card);
    else {
      card.classList.add("waiting");
      waiting.push(card);
    }
  }
  progress();
  begin();
}

function trouble(text) {
  one("#trouble").textContent = text;
}

function add(files) {
  for (const file of files) {
    const card = make("figure", "waiting"), box = make("div", "photo");
    card.tabIndex = 0;
    card.file = file;
    card.task = one("#task").value;
    card.language = one("#language").value;
    card.rows = {}; // by language
    card.setAttribute("role", "group");
    card.setAttribute("aria-label", file.name);
    card.append(box, make("figcaption", "", `${file.name} …`));
    card.form = new FormData();
    card.form.append("model", one("#model").value);
    if (card.task === "caption") {
      card.form.append("language", card.language);
      card.form.append("num_captions", one("#alternatives").value);
      card.form.append("pictures", "true");
    }
    if (card.task === "label") card.form.append("labels", one("#labels").value);
    if (card.task !== "read" && one("#every").value) card.form.append("every", one("#every").value);
    card.form.append("file", file, file.name);
    cards.push(card);
    waiting.push(card);
    one("#results").append(card);
  }
  progress();
  begin();
}

function begin() {
  while (running < TOGETHER && waiting.length) work();
}

async function work() {
  running += 1;
  for (let card = waiting.shift(); card; card = waiting.shift()) {
    const {rows, notes, error} = await ask(`/v1/${TASKS[card.task].address ?? card.task}`, card.form), path = card.file.name;
    card.row = rows ? {...rows[0], path} : {path, error};
    if (!card.row.error) card.rows[card.language] = card.row;
    if (notes?.length) trouble(notes.join("; "));
    card.classList.remove("waiting");
    fill(card);
    progress();
  }
  running -= 1;
  if (!running) speak(); // the language may have been changed meanwhile
}

// What the server answers to a form or to JSON; an error is its sentence.
async function ask(address, body) {
  const kind = typeof body === "string" ? {"Content-Type": "application/json"} : {};
  try {
    for (;;) {
      const response = await fetch(address, {
        method: "POST", body, headers: {...headers(), ...kind}, signal: stopping.signal,
      });
      if (response.status === 503) { // the server is busy and says when it may not be
        await new Promise((go) => setTimeout(go, 1000 * (Number(response.headers.get("Retry-After")) || 1)));
        if (stopping.signal.aborted) return {error: "stopped"};
        continue;
      }
      const answer = await response.json();
      if (response.status === 401) one("#secret").hidden = false;
      return response.ok ? answer : {rows: answer.rows, error: answer.detail};
    }
  } catch (error) {
    return {error: error.name === "AbortError" ? "stopped" : "the server cannot be reached"};
  }
}

function fill(card) {
  const {row, file} = card, box = make("div", "photo"), text = make("figcaption");
  card.photo = row;
  if (row.error) {
    box.hidden = true;
    text.append(make("p", "error", row.error));
  } else if (card.task === "caption") {
    box.append(row.frames ? film(row) : picture(`data:image/jpeg;base64,${row.image}`, captionsOf(row)[0].caption), make("canvas"));
    box.style.setProperty("--ratio", row.width / row.height);
    captionsOf(row).forEach((each, place) => text.append(line(each, place)));
    text.append(...concepts(row));
    if (row.segments?.length > 1) text.append(...row.segments.map((each) => part(each, each.caption)));
    if (captionsOf(row)[0].attention) card.dataset.looks = "";
  } else if (row.top) {
    const src = URL.createObjectURL(file), clip = card.task === "classify" || file.type.startsWith("video/");
    box.append(clip ? Object.assign(make("video"), {src, controls: true, muted: true}) : picture(src, row.label));
    if (row.label !== row.top[0].label) text.append(make("p", "", row.label)); // none fits; the nearest follow
    row.top.forEach(({label, score}) => text.append(scored(label, score)));
    if (row.segments?.length > 1) text.append(...row.segments.map((each) => part(each, each.label)));
  } else {
    box.append(picture(URL.createObjectURL(file), row.text));
    text.append(scored(row.text, row.score));
  }
  text.append(...reasons(card), make("div", "path", row.path));
  if (row.warning) text.append(make("div", "warning", row.warning));
  card.replaceChildren(box, text);
}

const picture = (src, alt) => Object.assign(new Image(), {src, alt});

function film(row) {
  const box = make("div", "film");
  box.append(...row.frames.map(({image, time}) => picture(`data:image/jpeg;base64,${image}`, `at ${time} s`)));
  return box;
}

function part({start, end}, said) {
  return make("p", "segment", `${start.toFixed(1)} to ${end.toFixed(1)} s: ${said}`);
}

function scored(said, score) {
  const whole = make("p");
  whole.append(make("span", "", said), make("span", "score", score.toFixed(2)));
  return whole;
}

function progress() {
  const done = cards.filter((card) => card.row), failed = done.filter((card) => card.row.error).length;
  one("#done").hidden = !cards.length;
  offer();
  Object.assign(one("#progress"), {max: cards.length || 1, value: done.length});
  one("#stop").disabled = done.length === cards.length;
  one("#count").textContent = cards.length
    ? `${done.length} of ${cards.length} done${failed ? `, ${failed} could not be used` : ""}` : "";
}

// What is copied and saved: the rows of the command line, without pictures.
function rows() {
  return cards.filter((card) => card.row).map(({row}) => {
    const {image, frames, grid, window: seen, height, width, captions, ...kept} = row;
    if (captions && kept.caption === undefined) kept.captions = captions.map(({caption, score}) => ({caption, score}));
    return kept;
  });
}

const jsonLines = () => rows().map((row) => `${JSON.stringify(row)}\n`).join("");

// The command line's table: a row for each file or, if any clip has parts, for each part.
function table() {
  const numbered = (list = []) => Object.fromEntries(list.flatMap((each, place) =>
    Object.entries(each).map(([key, value]) => [place ? `${key}_${place + 1}` : key, value])));
  const flat = ({captions, top, concepts, ...row}) => ({...row, ...numbered(captions ?? top), ...numbered(concepts), ...row});
  const all = rows(), parted = all.some(({segments}) => segments);
  const lines = all.flatMap(({segments, ...row}) => {
    const {path, concepts, warning, error, ...told} = row, parts = segments ?? [told];
    if (!parted) return flat(row);
    return parts.map((part, place) => flat(
      {path, window: place + 1, windows: parts.length, start: "", end: "", ...part, concepts, warning, error}));
  });
  const last = ["warning", "error"], named = new Set(lines.flatMap(Object.keys));
  const columns = [...named].filter((name) => !last.includes(name)).concat(last);
  const cell = (value) => `"${String(value ?? "").replaceAll('"', '""')}"`;
  return [columns, ...lines.map((row) => columns.map((column) => row[column]))]
    .map((cells) => `${cells.map(cell).join(",")}\r\n`).join("");
}

function save(text, name, type) {
  const address = URL.createObjectURL(new Blob([text], {type}));
  Object.assign(make("a"), {href: address, download: name}).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

// Says in words what the picture shows, for those who do not see it.
function show(card, word) {
  look(card, word);
  const said = word && captionsOf(card.photo)[word.dataset.place], weights = said?.attention;
  if (!weights) return void (one("#where").textContent = "");
  const [high, wide] = said.grid ?? card.photo.grid, from = word.dataset.index * high * wide;
  const cells = Array.from(atob(weights).slice(from, from + high * wide), (each) => each.charCodeAt(0));
  const best = cells.indexOf(Math.max(...cells));
  const area = AREAS[Math.floor(3 * Math.floor(best / wide) / high)][Math.floor(3 * (best % wide) / wide)];
  one("#where").textContent = `${word.textContent}: ${area}`;
}

const results = one("#results");
results.addEventListener("pointerover", ({target}) => {
  const card = target.closest("figure");
  if (card?.photo && !card.photo.error) show(card, target.closest(".word"));
});
results.addEventListener("pointerout", ({target}) => target.closest(".word") && show(target.closest("figure"), null));
results.addEventListener("focusout", ({target}) => target.matches("figure") && target.photo && show(target, null));
results.addEventListener("keydown", (event) => {
  const card = event.target.closest("figure"), step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
  if (!card?.photo || card.photo.error || event.target !== card || !(step || event.key === "Escape")) return;
  const words = [...card.querySelectorAll(".word")], at = words.findIndex((word) => word.classList.contains("on"));
  show(card, step ? words[(at + step + words.length + (at < 0 && step < 0)) % words.length] : null);
  event.preventDefault();
});
one("#files").addEventListener("change", ({target}) => { add([...target.files]); target.value = "" });
addEventListener("paste", ({clipboardData}) => add([...clipboardData.files]));
for (const kind of ["dragover", "dragleave", "drop"])
  addEventListener(kind, (event) => {
    event.preventDefault();
    one("#drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") add([...event.dataTransfer.files]);
  });
one("#ask").addEventListener("submit", (event) => event.preventDefault());
one("#task").addEventListener("change", choose);
one("#language").addEventListener("change", speak);
one("#token").addEventListener("change", start);
one("#stop").addEventListener("click", () => {
  stopping.abort();
  stopping = new AbortController();
  for (const card of waiting.splice(0)) {
    card.row = Object.values(card.rows).at(-1) ?? {path: card.file.name, error: "stopped"};
    card.classList.remove("waiting");
    fill(card);
  }
  progress();
});
one("#copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(jsonLines()); // which browsers have on pages of this machine or with TLS only
    one("#count").textContent = "Copied as JSON Lines";
  } catch {
    one("#count").textContent = "This browser does not let the page copy; save JSON Lines instead";
  }
});
one("#jsonl").addEventListener("click", () => save(jsonLines(), "captions.jsonl", "application/jsonl"));
// spreadsheets take a table for UTF-8 by its mark only
one("#csv").addEventListener("click", () => save(`\ufeff${table()}`, "captions.csv", "text/csv"));
one("#clear").addEventListener("click", () => {
  if (!one("#stop").disabled) one("#stop").click();
  cards.length = 0;
  one("#query").value = "";
  showAll();
  results.replaceChildren();
  progress();
});
one("#theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
start();
