function fill(card, photo) {
  card.photo = photo; // for `look`
  const box = make("div", "photo"), caption = make("figcaption");
  box.style.aspectRatio = ratio(photo);
  box.append(photo.frames ? film(photo) : picture(photo, photo.image), make("canvas"));
  captionsOf(photo).forEach((each, place) => caption.append(line(each, place, wanted)));
  if (photo.segments?.length > 1) caption.append(...photo.segments.map(segment));
  caption.append(...concepts(photo), ...footer(photo));
  card.append(box, caption);
}

const picture = (photo, jpeg) => inBase64(jpeg, captionsOf(photo)[0].caption);

// A clip shows a few frames, and what is said of its segments.
function film(clip) {
  const box = make("div", "film");
  for (const {image, time} of clip.frames) {
    const frame = picture(clip, image);
    frame.alt = frame.title = `${frame.alt}, at ${clock(time)}`;
    box.append(frame);
  }
  return box;
}

function segment({start, end, caption, score}) {
  const whole = make("p", "segment"), when = make("time", "", clock(start));
  whole.title = `${clock(start)} to ${clock(end)}, ${score.toFixed(2)}`;
  whole.append(when, Object.assign(make("span", "", caption), {dir: "auto"}));
  return whole;
}

const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
const ratio = (photo) => Math.min(2.4, Math.max(.6, photo.width / photo.height));

function arrange(photos) {
  const main = one("main"), number = columnsThatFit();
  const columns = Array.from({length: number}, () => make("div", "column")), heights = Array(number).fill(0);
  const width = main.clientWidth / number;
  for (const photo of photos) {
    const at = heights.indexOf(Math.min(...heights));
    const lines = captionsOf(photo).length + (photo.segments?.length ?? 0);
    const height = Math.round(width / ratio(photo) + 70 + 30 * lines + (photo.concepts ? 60 : 0));
    const card = cardOf(photo, `${height}px`);
    card.tabIndex = 0;
    if (captionsOf(photo)[0].attention) card.dataset.looks = "";
    heights[at] += height;
    columns[at].append(card);
  }
  return columns;
}
const columnsThatFit = () => Math.max(1, Math.floor((one("main").clientWidth - 30) / 290));

const main = one("main");
main.addEventListener("pointerover", ({target}) => {
  const card = target.closest?.("figure");
  if (card) look(card, target.closest(".word"));
});
main.addEventListener("pointerout", ({target}) => target.closest(".word") && look(target.closest("figure"), null));
main.addEventListener("focusout", ({target}) => target.matches("figure") && look(target, null));
main.addEventListener("keydown", (event) => {
  const card = event.target.closest("figure"), step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
  if (!card || !(step || event.key === "Escape")) return;
  const words = [...card.querySelectorAll(".word")], at = words.findIndex((word) => word.classList.contains("on"));
  look(card, step ? words[(at + step + words.length + (at < 0 && step < 0)) % words.length] : null);
  event.preventDefault();
});
let fitted = columnsThatFit();
addEventListener("resize", () => { if (fitted !== columnsThatFit()) { fitted = columnsThatFit(); show() } });

const nouns = entries.every((each) => !each.frames) ? "photos" : entries.every((each) => each.frames) ? "clips" : "photos and clips";
begin({
  search: "Search captions and names", none: "No photo has these words.", failed: "could not be read", nouns, fill, arrange,
  words: (photo) => [photo.path, ...[...captionsOf(photo), ...photo.segments ?? []].map((each) => each.caption), ...(photo.concepts ?? []).map((each) => each.concept)],
});
