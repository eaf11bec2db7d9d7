"use strict";
// The page: photos go to a worker in this browser, which captions them.
const one = (selector) => document.querySelector(selector);
const cards = new Map(), worker = new Worker("worker.js");
let ready = false, number = 0;

worker.onmessage = ({data}) => {
  if (data.loading !== undefined) return void (one("#count").textContent = data.loading);
  if (data.trouble) return void (one("#trouble").textContent = data.trouble);
  if (data.ready) ready = true;
  else fill(cards.get(data.number), data.row);
  progress();
};
worker.onerror = ({message}) => { one("#trouble").textContent = `The captioner cannot be loaded (${message}).` };

function progress() {
  const done = [...cards.values()].filter((card) => card.photo).length;
  one("#count").textContent = cards.size ? `${done} of ${cards.size} done` : ready ? "Ready" : "Loading";
}

function add(files) {
  for (const file of files) {
    const card = make("figure", "waiting");
    card.tabIndex = 0;
    card.setAttribute("role", "group");
    card.setAttribute("aria-label", file.name);
    card.append(make("figcaption", "", `${file.name} …`));
    card.file = file;
    cards.set(number, card);
    one("#results").append(card);
    worker.postMessage({number, file});
    number += 1;
  }
  progress();
}

function fill(card, row) {
  card.photo = row;
  card.classList.remove("waiting");
  const text = make("figcaption");
  if (row.error) text.append(make("p", "error", row.error));
  else {
    const box = make("div", "photo");
    box.style.setProperty("--ratio", row.width / row.height);
    box.append(Object.assign(new Image(), {src: URL.createObjectURL(card.file), alt: row.caption}), make("canvas"));
    text.append(line(row, 0));
    if (row.attention) card.dataset.looks = "";
    card.replaceChildren(box);
  }
  text.append(make("div", "path", card.file.name));
  card.replaceChildren(...card.querySelectorAll(".photo"), text);
}

const results = one("#results"), card_of = (target) => target.closest("figure");
results.addEventListener("pointerover", ({target}) => card_of(target)?.photo?.caption && look(card_of(target), target.closest(".word")));
results.addEventListener("focusout", ({target}) => target.photo?.caption && look(target, null));
results.addEventListener("keydown", (event) => {
  const card = event.target, step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
  if (!card.photo?.caption || !(step || event.key === "Escape")) return;
  const words = [...card.querySelectorAll(".word")], at = words.findIndex((word) => word.classList.contains("on"));
  look(card, step ? words[(at + step + words.length + (at < 0 && step < 0)) % words.length] : null);
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
