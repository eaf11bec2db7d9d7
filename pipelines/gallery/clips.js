const clock = (time) => `${Math.floor(time / 60)}:${(time % 60).toFixed(1).padStart(4, "0")}`;
const labels = [...new Set(entries.flatMap((clip) => [...clip.top, ...(clip.segments ?? [])].map((each) => each.label)))].sort();
const hue = (label) => 25 + labels.indexOf(label) * 360 / labels.length;

function fill(card, clip) {
  const film = make("div", "film"), caption = make("figcaption");
  for (const {image, time} of clip.frames ?? []) {
    const place = make("span");
    place.append(inBase64(image, `${clip.label}, at ${clock(time)}`), make("time", "", clock(time)));
    film.append(place);
  }
  if (clip.label !== clip.top[0].label) caption.append(make("p", "", clip.label)); // none fits; the nearest follow
  for (const {label, score} of clip.top) {
    const line = make("p"), bar = make("span", "bar"), part = make("i");
    part.style.width = `${100 * score}%`;
    bar.append(part);
    line.append(make("span", "name", label), bar, make("span", "score", score.toFixed(2)));
    caption.append(line);
  }
  if (clip.segments) caption.append(...timeline(clip.segments));
  caption.append(...footer(clip));
  card.append(film, caption);
}

function timeline(segments) {
  const line = make("div", "when"), key = make("div", "key");
  for (const {start, end, label, score} of segments) {
    const part = make("i");
    part.style.cssText = `flex: ${Math.max(end - start, 1e-3)}; --hue: ${hue(label)}; --sure: ${score}`;
    part.title = `${clock(start)} to ${clock(end)}: ${label} ${score.toFixed(2)}`;
    line.append(part);
  }
  for (const label of new Set(segments.map((each) => each.label))) {
    const entry = make("span"), colour = make("i");
    colour.style.setProperty("--hue", hue(label));
    entry.append(colour, label);
    key.append(entry);
  }
  return [line, key];
}

begin({
  search: "Search classes and names", none: "No clip has these words.", failed: "could not be read", nouns: "clips", fill,
  words: (clip) => [clip.path, clip.label, ...(clip.segments ?? []).map((each) => each.label)],
  arrange: (clips) => clips.map((clip) => cardOf(clip, "14rem")),
});
