"""Captions photos with an exported captioner: `python caption.py PHOTO...`; needs NumPy, Pillow and onnxruntime."""

import json
import re
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

HERE, START, END, SPECIALS = Path(__file__).parent, 1, 2, 4  # the first four tokens are no words
ABOUT = json.loads((HERE / "captioner.json").read_text(encoding="utf-8"))


def network(name):  # a function of arrays by name; OpenVINO runs it where it is in its form
    if (HERE / f"{name}.xml").exists():
        run = __import__("openvino").compile_model(HERE / f"{name}.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return lambda inputs: {key.any_name: value.copy() for key, value in run(inputs).items()}
    session = __import__("onnxruntime").InferenceSession(HERE / f"{name}.onnx", providers=["CPUExecutionProvider"])
    return lambda inputs: dict(zip((out.name for out in session.get_outputs()), session.run(None, inputs), strict=True))


def pixels(path):  # a photo as the encoder wants it: uint8 RGB (1, height, width, 3), transparent parts on white
    image, (high, wide), way = ImageOps.exif_transpose(Image.open(path)), ABOUT["size"], ABOUT["interpolation"].upper()
    if image.mode[0] in "IF":  # floats, or 16 bits, of which as many pairs count as its brightest pixel needs
        deep = np.nan_to_num(np.asarray(image, np.float64), posinf=0, neginf=0)
        bits = 1 if deep.max() <= 1 else max(8, int(deep.max()).bit_length() + 1 & -2) if (deep % 257).any() else 16
        image = Image.fromarray((deep * (255 / (2**bits - 1))).clip(0, 255).round().astype(np.uint8))
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    scale = max(wide / image.width, high / image.height) / ABOUT["crop_pct"]
    full = (max(wide, round(image.width * scale)), max(high, round(image.height * scale)))
    image = image.convert("RGB").resize(full if ABOUT["crop"] == "center" else (wide, high), Image.Resampling[way])
    return np.asarray(image)[None, (image.height - high) // 2 :, (image.width - wide) // 2 :][:, :high, :wide]


def search(begun, step, beam_size, min_length, max_length, length_penalty, no_repeat_ngram):  # best first
    state, context = ({name: begun[name] for name in ABOUT[part]} for part in ("state", "context"))
    beams, size, found = [([START], 0.0)], no_repeat_ngram, [(-np.inf, [], 0.0)] * (beam_size if ABOUT["choose"] else 1)
    for length in range(max_length + 1):
        out = step({"tokens": np.array([[words[-1] for words, _ in beams]]), **state, **context})
        log_probs = np.minimum(out["log_probs"][0], 0)
        ends, log_probs[:, : SPECIALS if length < max_length else None] = log_probs[:, END].copy(), -np.inf
        for row, (words, tail) in enumerate((words, words[len(words) - size + 1 :]) for words, _ in beams if size):
            log_probs[row, [words[at] for at in range(size, len(words)) if words[at - size + 1 : at] == tail]] = -np.inf
        log_probs[:, END] = ends if length >= min_length else -np.inf
        totals = (np.array([[total] for _, total in beams]) + log_probs).ravel()
        chosen = [(*divmod(at, log_probs.shape[1]), totals[at]) for at in np.argsort(-totals)[:beam_size]]
        ended = [(t / (length + 1) ** length_penalty, beams[row][0][1:], t) for row, word, t in chosen if word == END]
        found, bound = sorted(found + ended, reverse=True)[: len(found)], (length + 2) ** length_penalty
        if not (going := [each for each in chosen if each[1] != END and each[2] / bound > found[-1][0]]):
            break
        beams = [([*beams[row][0], int(word)], total) for row, word, total in going]
        state = {name: out[f"new_{name}"][:, [row for row, _, _ in going]] for name in ABOUT["state"]}
    return [each for each in found if each[0] > -np.inf]


def sentence(tokens):  # as ordinary English
    text, before, glue, rules = "", "", True, ABOUT["english"]
    for token in map(ABOUT["tokens"].__getitem__, tokens):
        glue = glue or token in rules["joins_left"] or [before, token] in rules["cut_words"]
        text += ("" if glue else " ") + rules["written"].get(token, token).replace("\\/", "/")
        glue, before = token in rules["joins_right"], token
    return re.sub(r"\w", lambda m: m[0].upper(), text, count=1) + "." * bool(re.search(r"[^].!?\"')}][]\"')}]*$", text))


if __name__ == "__main__":
    (encode, start, step, *fit), wrong = map(network, ["encoder", "start", "step", *["fit"] * bool(ABOUT["choose"])]), 0
    for path in sys.argv[1:]:
        try:
            grid = encode({"pixels": pixels(path)})["grid"]
        except Exception as error:  # the others are captioned
            print(json.dumps({"path": path, "error": (wrong := str(error) or type(error).__name__)}))
            continue
        scores, texts, totals = zip(*search(start({"grid": grid}), step, **ABOUT["search"]), strict=True)
        if choice := ABOUT["choose"]:  # the caption that fits the photo best
            read = [([*words, END] + [0] * choice["steps"])[: choice["steps"]] for words in texts]
            scores += fit[0]({"grid": grid, "tokens": np.array([read])})["fits"][0]
        tokens, total = texts[np.argmax(scores)], float(totals[np.argmax(scores)])
        print(json.dumps({"path": path, "caption": sentence(tokens), "score": round(total / (len(tokens) + 1), 4)}))
    sys.exit(bool(wrong))
