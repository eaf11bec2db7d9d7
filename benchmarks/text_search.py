"""Plain text search over captions that a model wrote, beside `captioner search`: SQLite's FTS5, ranked by BM25.

    captioner caption PHOTOS -o captions.jsonl --num-captions 4
    python benchmarks/text_search.py captions.jsonl -a dataset_flickr8k.json.zip --split val

Each of the captions that people wrote is a query, any of whose words may occur; the right answer is its photo. And the
reverse: a photo's generated captions are the query, and the right answers are the captions that people wrote of it.
Numbers are those of `captioner evaluate --retrieval`. Words are taken apart and cut to stems by FTS5's `porter`.
"""

import argparse
import json
import sqlite3
from pathlib import Path

import numpy as np

from captioner.data.captions import CaptionSet
from captioner.metrics.retrieval import Retrieval


def written(path: Path, count: int) -> dict[str, str]:
    """The first captions of each photo, by its file name."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {
        Path(row["path"]).name: " ".join(each["caption"] for each in row.get("captions", [row])[:count])
        for row in rows
        if "error" not in row
    }


def ranks(texts: list[str], queries: list[str], right: list[set[int]]) -> Retrieval:
    """Where the best right answer of each query stands, texts that share no word with it last."""
    database = sqlite3.connect(":memory:")
    database.execute("CREATE VIRTUAL TABLE texts USING fts5(text, tokenize = 'porter')")
    database.executemany("INSERT INTO texts (rowid, text) VALUES (?, ?)", enumerate(texts, 1))
    found = []
    for query, wanted in zip(queries, right, strict=True):
        words = " OR ".join(f'"{word}"' for word in dict.fromkeys(query.lower().split()) if word.isalnum())
        rows = database.execute("SELECT rowid, bm25(texts) FROM texts WHERE texts MATCH ?", [words]) if words else ()
        scores = np.full(len(texts), np.inf)
        for number, score in rows:
            scores[number - 1] = score  # the lower, the better
        best = scores[sorted(wanted)].min()
        among = sum(scores[place] <= best for place in range(len(texts)) if place not in wanted)
        found.append(1 + int(among))  # equal scores count against it
    return Retrieval(np.array(found))


def show(name: str, retrieval: Retrieval, groups: np.ndarray | None = None) -> None:
    intervals = retrieval.intervals(groups)
    for key, value in retrieval.totals.items():
        print(f"{name}: {key} {value:.3f} ({intervals[key][0]:.3f} to {intervals[key][1]:.3f})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--annotations", "-a", type=Path, required=True)
    parser.add_argument("--split", default="val")
    options = parser.parse_args()
    for count in (1, 4):
        captions = written(options.rows, count)
        images = [
            image
            for image in CaptionSet.read(options.annotations)
            if image.split == options.split and image.file_name in captions
        ]
        generated = [captions[image.file_name] for image in images]
        people = [" ".join(tokens) for image in images for tokens in image.tokens]
        owners = np.array([place for place, image in enumerate(images) for _ in image.tokens])
        print(f"{len(images)} photos, {len(people)} captions, {count} generated for each photo")
        show("sentence to photo", ranks(generated, people, [{owner} for owner in owners]), owners)
        own = [set(np.flatnonzero(owners == place).tolist()) for place in range(len(images))]
        show("photo to sentence", ranks(people, generated, own))


if __name__ == "__main__":
    main()
