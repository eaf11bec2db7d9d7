function fill(card, row) {
  for (const pair of row.pairs) {
    const box = make("div", "pair");
    card.append(box);
    draw(box, pair);
  }
  card.append(...footer(row));
}

// A line from each word to each that was read, as strong as the attention it was written from.
function draw(box, {source, target, weights, score}) {
  const cells = bytesOf(weights);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const above = sentence("source", source), below = sentence("target", target);
  below.title = `${score.toFixed(2)}: mean log-probability of a piece; nearer to 0 is surer`;
  box.append(above, svg, below);
  const middle = (word) => word.offsetLeft + word.offsetWidth / 2;
  const lines = [];
  target.forEach((_, row) => source.forEach((_, column) => {
    const weight = cells[row * source.length + column] / 255;
    if (weight < .08) return;
    const each = document.createElementNS("http://www.w3.org/2000/svg", "line");
    const ends = {x1: middle(above.children[column]), y1: 2, x2: middle(below.children[row]), y2: 44};
    for (const [name, value] of Object.entries(ends)) each.setAttribute(name, value);
    each.style.opacity = weight;
    lines.push({each, row, column, weight});
    svg.append(each);
  }));
  const light = (words, key) => [...words.children].forEach((word, at) => {
    const mark = (on) => {
      word.classList.toggle("on", on);
      for (const known of lines) known.each.style.opacity = !on ? known.weight : known[key] === at ? 1 : .04;
    };
    word.addEventListener("pointerover", () => mark(true));
    word.addEventListener("pointerout", () => mark(false));
  });
  light(above, "column");
  light(below, "row");
}

function sentence(kind, words) {
  const whole = make("div", `words ${kind}`);
  whole.append(...words.map((word) => make("span", "word", word)));
  return whole;
}

begin({
  search: "Search both languages", none: "No sentence has these words.", failed: "were not translated", nouns: "rows", fill,
  words: (row) => row.pairs.flatMap((pair) => [pair.source.join(" "), pair.target.join(" ")]),
  arrange: (texts) => texts.map((row) => cardOf(row, "8rem")),
});
