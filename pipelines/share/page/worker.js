"use strict";
// Photos to captions: what caption.py does beside exported networks, in the browser.
importScripts("ort.wasm.min.js");
const START = 1, END = 2, SPECIALS = 4, LARGEST = 100e6;
ort.env.wasm.numThreads = 1; // more would need headers that not every static host sends
ort.env.wasm.wasmPaths = new URL("./", self.location).href;
const FILTERS = {
  bilinear: [1, (x) => Math.max(0, 1 - Math.abs(x))],
  bicubic: [2, (x) => {
    x = Math.abs(x);
    return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
  }],
  lanczos: [3, (x) => x === 0 ? 1 : Math.abs(x) < 3 ? 3 * Math.sin(Math.PI * x) * Math.sin(Math.PI * x / 3) / (Math.PI * x) ** 2 : 0],
};
let about;
const networks = {};
const loaded = load();

async function load() {
  about = await (await fetch("captioner.json")).json();
  for (const name of ["encoder", "start", "step", ...(about.choose ? ["fit"] : [])]) {
    postMessage({loading: `Loading ${name}`});
    networks[name] = await ort.InferenceSession.create(`${name}.onnx`, {executionProviders: ["wasm"]});
  }
  postMessage({ready: true});
}

let last = loaded.catch(({message}) => postMessage({trouble: `The captioner cannot be loaded (${message}).`}));
onmessage = ({data: {number, file}}) => {
  last = last.then(async () => {
    await loaded;
    postMessage({number, row: await caption(file).catch(({message}) => ({error: message}))});
  });
};

async function caption(file) {
  const {pixels, width, height, window} = await see(file);
  const [high, wide] = about.size;
  const {grid} = await networks.encoder.run({pixels: new ort.Tensor("uint8", pixels, [1, high, wide, 3])});
  const {tokens, logProb, attention} = await best(await search(await networks.start.run({grid}), about.search), grid);
  const words = tokens.map((token) => about.tokens[token]), text = sentence(words);
  const row = {caption: text, score: logProb / (tokens.length + 1), spans: spans(text, words), width, height, window, grid: about.grid};
  return attention.length ? {...row, attention: bytes(attention)} : row;
}

// The photo as the encoder wants it, uint8 RGB, and the part of the photo that this shows.
async function see(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, {premultiplyAlpha: "none", colorSpaceConversion: "none"});
  } catch {
    throw new Error("not an image that this browser can read");
  }
  const {width, height} = bitmap;
  if (width * height > LARGEST) throw new Error(`too large (${width} x ${height} pixels)`);
  const brush = new OffscreenCanvas(width, height).getContext("2d");
  brush.fillStyle = "#fff"; // behind what is transparent
  brush.fillRect(0, 0, width, height);
  brush.drawImage(bitmap, 0, 0);
  bitmap.close();
  let [high, wide] = about.size;
  if (about.crop === "center") {
    const scale = Math.max(wide / width, high / height) / about.crop_pct;
    wide = Math.max(wide, Math.round(width * scale));
    high = Math.max(high, Math.round(height * scale));
  }
  const resized = resize(brush.getImageData(0, 0, width, height).data, width, height, wide, high);
  const [rows, columns] = about.size, pixels = new Uint8Array(rows * columns * 3);
  const top = Math.floor((high - rows) / 2), left = Math.floor((wide - columns) / 2);
  for (let row = 0; row < rows; row++) {
    const from = 3 * ((top + row) * wide + left);
    pixels.set(resized.subarray(from, from + 3 * columns), 3 * row * columns);
  }
  return {pixels, width, height, window: [top / high, left / wide, (top + rows) / high, (left + columns) / wide]};
}

// Pillow's resize: where a side shrinks the filter widens, columns first, rounded to 8 bits between the two passes.
function resize(rgba, width, height, wide, high) {
  const across = weights(width, wide), down = weights(height, high);
  const between = new Uint8ClampedArray(height * wide * 3), made = new Uint8ClampedArray(high * wide * 3);
  for (let row = 0; row < height; row++)
    for (let column = 0; column < wide; column++) {
      const [first, shares] = across[column];
      for (let channel = 0; channel < 3; channel++) {
        let sum = 0;
        for (let at = 0; at < shares.length; at++) sum += shares[at] * rgba[4 * (row * width + first + at) + channel];
        between[3 * (row * wide + column) + channel] = Math.floor(sum + 0.5);
      }
    }
  for (let row = 0; row < high; row++) {
    const [first, shares] = down[row];
    for (let place = 0; place < 3 * wide; place++) {
      let sum = 0;
      for (let at = 0; at < shares.length; at++) sum += shares[at] * between[3 * wide * (first + at) + place];
      made[3 * wide * row + place] = Math.floor(sum + 0.5);
    }
  }
  return made;
}

function weights(from, to) {
  const [support, filter] = FILTERS[about.interpolation], scale = from / to, wider = Math.max(1, scale);
  return Array.from({length: to}, (_, place) => {
    const center = (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support * wider + 0.5));
    const end = Math.min(from, Math.trunc(center + support * wider + 0.5));
    const shares = Float64Array.from({length: end - first}, (_, at) => filter((at + first - center + 0.5) / wider));
    const sum = shares.reduce((one, other) => one + other, 0);
    return [first, shares.map((each) => each / sum)];
  });
}

// The caption that fits best, where the captioner chooses among several.
async function best(found, grid) {
  if (!about.choose) return found[0];
  const {steps} = about.choose, tokens = new BigInt64Array(found.length * steps);
  found.forEach((each, row) => [...each.tokens, END].forEach((token, place) => { tokens[row * steps + place] = BigInt(token) }));
  const {fits} = await networks.fit.run({grid, tokens: new ort.Tensor("int64", tokens, [1, found.length, steps])});
  const worth = found.map(({score}, row) => score + fits.data[row]);
  return found[worth.indexOf(Math.max(...worth))];
}

// Beam search, as the package's: what it finds, best first.
async function search(begun, {beam_size, min_length, max_length, length_penalty, no_repeat_ngram}) {
  const context = Object.fromEntries(about.context.map((name) => [name, begun[name]]));
  let state = Object.fromEntries(about.state.map((name) => [name, begun[name]]));
  const kept = about.choose ? beam_size : 1;
  let beams = [{words: [START], total: 0, attention: []}], found = [];
  for (let length = 0; length <= max_length; length++) {
    const tokens = new ort.Tensor("int64", BigInt64Array.from(beams, ({words}) => BigInt(words.at(-1))), [1, beams.length]);
    const out = await networks.step.run({tokens, ...state, ...context});
    const size = out.log_probs.dims[2], candidates = [];
    beams.forEach(({words, total, attention}, row) => {
      const logProbs = out.log_probs.data.subarray(row * size, (row + 1) * size), banned = repeats(words, no_repeat_ngram);
      const looked = out.attention ? [...attention, out.attention.data.slice(row * out.attention.dims[2], (row + 1) * out.attention.dims[2])] : [];
      const offer = (word) => insert(candidates, {row, word, total: total + Math.min(0, logProbs[word]), attention: looked}, beam_size);
      if (length < max_length)
        for (let word = SPECIALS; word < size; word++) if (!banned.has(word)) offer(word);
      if (length >= min_length) offer(END);
    });
    for (const {row, word, total, attention} of candidates) {
      const score = total / (length + 1) ** length_penalty;
      if (word === END) found.push({score, tokens: beams[row].words.slice(1), logProb: total, attention: attention.slice(0, length)});
    }
    found = found.sort((one, other) => other.score - one.score).slice(0, kept);
    const least = found.length === kept ? found.at(-1).score : -Infinity;
    const going = candidates.filter(({word, total}) => word !== END && total / (length + 2) ** length_penalty > least);
    if (!going.length) break;
    beams = going.map(({row, word, total, attention}) => ({words: [...beams[row].words, word], total, attention}));
    state = Object.fromEntries(about.state.map((name) => [name, chosen(out[`new_${name}`], going.map(({row}) => row))]));
  }
  return found;
}

// The best so far, best first.
function insert(candidates, candidate, most) {
  if (candidates.length === most && candidate.total <= candidates[most - 1].total) return;
  let place = candidates.length;
  while (place > 0 && candidates[place - 1].total < candidate.total) place--;
  candidates.splice(place, 0, candidate);
  candidates.length = Math.min(candidates.length, most);
}

// Words that would complete a run of words which is there already.
function repeats(words, length) {
  const found = new Set();
  for (let at = 1; length && at + length <= words.length; at++) {
    const run = words.slice(at, at + length), end = words.slice(words.length - length + 1);
    if (run.slice(0, -1).every((word, place) => word === end[place])) found.add(run.at(-1));
  }
  return found;
}

function chosen({data, dims}, rows) {
  const size = data.length / dims[1], picked = new Float32Array(size * rows.length);
  rows.forEach((row, place) => picked.set(data.subarray(row * size, (row + 1) * size), place * size));
  return new ort.Tensor("float32", picked, [1, rows.length, ...dims.slice(2)]);
}

// Tokens as ordinary English.
function sentence(words) {
  const {joins_left, joins_right, cut_words, written} = about.english;
  let text = "", before = "", glue = true;
  for (const word of words) {
    glue ||= joins_left.includes(word) || cut_words.some(([one, other]) => one === before && other === word);
    text += (glue ? "" : " ") + (written[word] ?? word).replace("\\/", "/");
    glue = joins_right.includes(word);
    before = word;
  }
  text = text.replace(/[\p{L}\p{N}_]/u, (first) => first.toUpperCase());
  return !text || /[.!?]["')\]}]*$/.test(text) ? text : `${text}.`;
}

// Where each token stands in the sentence.
function spans(text, words) {
  let position = 0;
  return words.map((word) => {
    const start = text.toLowerCase().indexOf(word.toLowerCase(), position);
    if (start < 0) return null;
    position = start + word.length;
    return [start, position];
  });
}

// One byte a cell, 255 for the greatest of each word.
function bytes(attention) {
  return btoa(attention.map((cells) => {
    const most = Math.max(...cells);
    return String.fromCharCode(...cells.map((cell) => Math.round(255 * cell / most)));
  }).join(""));
}
