function fill(card, line) {
  const caption = make("figcaption"), head = make("p"), text = make("span", "text");
  const frame = make("div", "line"), inside = make("div"), columns = make("div", "columns"), tell = make("div", "tell");
  const light = make("i"), marks = [], letters = [];
  inside.append(inBase64(line.image, line.text), light, columns);
  frame.append(inside);
  (line.characters ?? []).forEach(([character, score, start, end], place) => {
    const mark = make("b"), letter = make("span", "", character);
    mark.style.cssText = `left: ${100 * start}%; width: ${100 * (end - start)}%; --sure: ${score}`;
    letter.style.setProperty("--sure", score);
    for (const each of [mark, letter]) {
      each.addEventListener("pointerenter", () => choose(place));
      each.addEventListener("pointerleave", () => choose(-1));
    }
    marks.push(mark);
    letters.push(letter);
  });
  let chosen = -1;
  function choose(place) {
    for (const each of [marks[chosen], letters[chosen]]) each?.classList.remove("on");
    chosen = place;
    light.classList.toggle("on", place >= 0);
    tell.textContent = "";
    if (place < 0) return;
    const [character, score, start, end] = line.characters[place];
    for (const each of [marks[place], letters[place]]) each.classList.add("on");
    light.style.cssText = `left: ${100 * start}%; width: ${100 * (end - start)}%`;
    tell.textContent = `${character === " " ? "space" : character}: ${score.toFixed(2)}, columns ${(100 * start).toFixed(1)} to ${(100 * end).toFixed(1)} %`;
  }
  columns.append(...marks);
  text.append(...letters);
  if (!letters.length) text.textContent = line.text;
  text.tabIndex = 0;
  text.setAttribute("aria-label", `${line.text}. Left and right arrows show where each character stands.`);
  text.addEventListener("keydown", (event) => {
    const last = letters.length - 1;
    const place = {ArrowRight: Math.min(chosen + 1, last), ArrowLeft: Math.max(chosen - 1, 0), Home: 0, End: last}[event.key];
    if (place === undefined || last < 0) return;
    event.preventDefault();
    choose(place);
  });
  text.addEventListener("blur", () => choose(-1));
  head.append(text, make("span", "score", line.score.toFixed(2)));
  tell.setAttribute("role", "status");
  caption.append(head, tell, ...footer(line));
  card.append(frame, caption);
}

begin({
  search: "Search texts and names", none: "No line has these words.", failed: "could not be read", nouns: "lines", fill,
  words: (line) => [line.path, line.text],
  arrange: (lines) => lines.map((line) => cardOf(line, "9rem")),
});
