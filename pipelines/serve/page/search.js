"use strict";
// Searches among the files on the page: the server looks at each once, and what it saw stays here, not there.
const TOP = 10; // as the command line's
let searches = 0;

function searched() {
  return cards.filter(({task, row}) => task !== "read" && row && !row.error);
}

function finder() { // the model: that which captions, or the first that can
  const fit = models.filter(({kind}) => kind === "caption").map(({name}) => name);
  return fit.includes(one("#model").value) ? one("#model").value : fit[0];
}

function offer() {
  one("#find").hidden = !finder() || !searched().length;
}

function say(...sentences) {
  one("#found").textContent = sentences.join(" ");
}

async function search() {
  const query = one("#query").value.trim(), model = finder(), turn = ++searches;
  if (!query) return showAll();
  const files = searched();
  await lookAt(files.filter((card) => !card.looks?.[model]), model);
  if (turn !== searches) return; // another search has begun meanwhile
  const looked = Object.fromEntries(files.flatMap(({looks}, place) => looks[model] ? [[place, looks[model]]] : []));
  const answer = await ask("/v1/search", JSON.stringify({query, model, looked, top: TOP, pictures: true}));
  if (turn !== searches) return;
  if (answer.error) return say(answer.error);
  const found = Map.groupBy(answer.rows, ({path}) => files[path]);
  for (const card of cards) {
    card.hidden = !found.has(card);
    card.found = found.get(card);
    if (card.row) fill(card);
  }
  for (const card of found.keys()) results.append(card);
  one("#all").hidden = false;
  const count = Object.keys(looked).length, lacking = files.length - count;
  const notes = [...answer.notes, ...(lacking ? [`${lacking} could not be looked at`] : [])];
  say(`${found.size} of ${count}, best first.`, ...notes.map((note) => `${note}.`));
}

async function lookAt(todo, model) {
  const count = todo.length;
  let left = count;
  const one_by_one = async () => {
    for (let card = todo.shift(); card; card = todo.shift()) {
      say(`Looking at ${count} files, ${left} to do.`);
      const form = new FormData();
      form.append("model", model);
      form.append("file", card.file, card.file.name);
      const {rows} = await ask("/v1/look", form);
      card.looks = {...card.looks, [model]: rows?.[0].looked};
      left -= 1;
    }
  };
  await Promise.all(Array.from({length: TOGETHER}, one_by_one));
}

// What a card says of why it was found: the sentence, whose words can be pointed at, or the moments of a clip.
function reasons(card) {
  if (!card.found) return [];
  const moments = card.found.filter(({start}) => start !== undefined);
  if (moments.length) return moments.map((row) => part(row, `asked: ${row.words}`));
  const [{words, spans, attention, grid}] = card.found, captions = captionsOf(card.row);
  card.photo = {...card.row, captions: [...captions, {caption: words, spans, attention, grid}]};
  const reason = line(card.photo.captions.at(-1), captions.length);
  reason.firstChild.prepend("asked: ");
  return [reason];
}

function showAll() {
  searches += 1;
  for (const card of cards) {
    card.hidden = false;
    card.found = undefined;
    if (card.row) fill(card);
    results.append(card);
  }
  one("#all").hidden = true;
  say("");
}

one("#find").addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
one("#query").addEventListener("input", ({target}) => target.value || showAll());
one("#all").addEventListener("click", () => {
  one("#query").value = "";
  one("#query").focus();
  showAll();
});
