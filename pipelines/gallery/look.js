// A caption whose words can be pointed at, and what a photo shows then. Shared by galleries, the server's page and the
// captioner in the browser.
const make = (tag, className = "", text = "") => Object.assign(document.createElement(tag), {className, textContent: text});
const bytesOf = (text) => Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
const captionsOf = (photo) => photo.captions ?? [photo];

function line(caption, place, wanted = []) {
  const letters = Array.from(caption.caption), text = make("span"), whole = make("p");
  let from = 0;
  (caption.spans ?? [[0, letters.length]]).forEach((span, index) => {
    if (!span) return;
    text.append(letters.slice(from, span[0]).join(""));
    const word = make("span", "word", letters.slice(...span).join(""));
    if (wanted.some((each) => word.textContent.toLowerCase().includes(each))) word.classList.add("found");
    Object.assign(word.dataset, {place, index});
    text.append(word);
    from = span[1];
  });
  text.append(letters.slice(from).join(""));
  text.dir = whole.dir = "auto";
  const score = make("span", "score", caption.score?.toFixed(2) ?? "");
  score.title = "mean log-probability a word; nearer to 0 is surer";
  whole.append(text, score);
  return whole;
}

// The words that an image shows, the likelier the darker.
function concepts(photo) {
  if (!photo.concepts) return [];
  const list = make("ul", "concepts");
  for (const {concept, probability} of photo.concepts) {
    const item = make("li", "", concept);
    item.title = `${Math.round(100 * probability)} %`;
    item.style.setProperty("--sure", probability);
    list.append(item);
  }
  return [list];
}

// Where the decoder looked: the photo darkens but for the regions behind the word.
function look(card, word) {
  card.querySelector(".word.on")?.classList.remove("on");
  const canvas = card.querySelector("canvas"), photo = card.photo;
  const said = word && captionsOf(photo)[word.dataset.place], weights = said?.attention;
  canvas?.classList.toggle("on", Boolean(weights));
  word?.classList.add("on");
  if (!weights) return;
  const [high, wide] = said.grid ?? photo.grid, cells = bytesOf(weights);
  const small = Object.assign(document.createElement("canvas"), {width: wide, height: high}), pen = small.getContext("2d");
  const veil = pen.createImageData(wide, high);
  for (let cell = 0; cell < high * wide; cell++)
    veil.data[4 * cell + 3] = 215 * (1 - cells[word.dataset.index * high * wide + cell] / 255);
  pen.putImageData(veil, 0, 0);
  const [top, left, bottom, right] = photo.window;
  canvas.width = 320;
  canvas.height = Math.max(1, Math.round(320 * photo.height / photo.width));
  const brush = canvas.getContext("2d");
  const box = [left * canvas.width, top * canvas.height, (right - left) * canvas.width, (bottom - top) * canvas.height];
  brush.fillStyle = "rgb(0 0 0 / 80%)";
  brush.fillRect(0, 0, canvas.width, canvas.height);
  brush.clearRect(...box);
  brush.imageSmoothingQuality = "high";
  brush.drawImage(small, ...box);
}
