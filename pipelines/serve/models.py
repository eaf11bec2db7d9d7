"""The models that a server answers with: loaded once, known to clients by names that tell no path."""

import json
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from captioner.errors import UsageError
from captioner.models.base import find, kind_of, load, shipped
from captioner.models.searcher import Searcher
from captioner.pipelines.caption.options import CaptionOptions
from captioner.pipelines.folder.made import name_and_digest
from captioner.pipelines.read.options import ReadOptions
from captioner.pipelines.serve.problems import Problem

_FIRST = (CaptionOptions.model, ReadOptions.model)  # what the commands take where nobody says


class Models:
    """Models by name.

    Args:
        names: shipped models, model folders and names on the hub; all shipped ones by default.
        device: that they run on.

    Raises:
        ModelError: there is no such model.
        UsageError: two have the same name.
    """

    def __init__(self, names: Sequence[str] | None, device: str) -> None:
        self.device = device
        self.sources: dict[str, str] = {}
        for source in names or sorted(shipped(), key=lambda name: name not in _FIRST):
            folder = source not in shipped() and not source.startswith("hf-hub:")
            name = Path(source).resolve().name if folder else source
            if name in self.sources:
                raise UsageError(f"two models are called {name}; rename the folder of one, or name it once.")
            self.sources[name] = source
        self._configs = {name: _config(source) for name, source in self.sources.items()}
        self.kinds = {name: str(config["kind"]) for name, config in self._configs.items()}
        self.targets = {name: str(self._configs[name].get("target")) for name in self.of("translate")}
        """The languages that translators write, by the translators' names."""
        self.languages: dict[str, str] = {}
        """Names of translators from English by the language that they write; of two, the first."""
        for name, target in self.targets.items():
            if self._configs[name].get("source") == "en" and target != "en":
                self.languages.setdefault(target, name)
        self._loaded: dict[str, Any] = {}
        self._searchers: dict[str, Searcher] = {}
        self._digests: dict[str, str] = {}
        self._loading = {name: threading.Lock() for name in self.sources}

    def of(self, *kinds: str) -> list[str]:
        """The names of the models of some kinds, the default first."""
        return [name for name, kind in self.kinds.items() if kind in kinds]

    def named(self, name: str | None, kinds: Sequence[str], job: str, option: str = "model") -> str:
        """The name of a model for a job: what is asked for by an option, or the first that there is.

        Raises:
            Problem: there is none.
        """
        fit = self.of(*kinds)
        if name is None and fit:
            return fit[0]
        if name in fit:
            return str(name)
        there = f"there are: {', '.join(fit)}" if fit else "this server has none; it was started with other models"
        raise Problem(
            422,
            f"{option}: no model called {name!r} to {job} with; {there}."
            if name is not None
            else f"no model to {job} with; {there}.",
        )

    def no_language(self, option: str, language: str, there: Iterable[str]) -> Problem:
        """What is told of a language that no model here writes."""
        languages = ", ".join(sorted(set(there))) or "none"
        return Problem(422, f"{option}: no model here translates into {language!r}; languages: {languages}.")

    def get(self, name: str) -> Any:
        """A model, loaded when it is first asked for.

        Raises:
            ModelError: its files cannot be used.
        """
        with self._loading[name]:
            if name not in self._loaded:
                self._loaded[name] = load(self.sources[name], self.device)
                self._loaded[name].name = name  # clients are told no path
            return self._loaded[name]

    def searcher(self, name: str) -> Searcher:
        """What ranks photos for a photo captioner.

        Raises:
            ModelError: its files cannot be used.
        """
        with self._loading[name]:
            if name not in self._searchers:
                self._searchers[name] = Searcher.load(find(self.sources[name]))
            return self._searchers[name]

    def digest(self, name: str) -> str:
        """Of all that makes a model's answers."""
        with self._loading[name]:
            if name not in self._digests:
                self._digests[name] = name_and_digest(self.sources[name])[1]
            return self._digests[name]

    def rows(self) -> list[dict[str, Any]]:
        """What clients are told of each model."""
        about = ("kind", "purpose", "scores", "target", "labels")
        return [
            {"name": name, **{key: config[key] for key in about if key in config}}
            for name, config in self._configs.items()
        ]


def _config(source: str) -> dict[str, Any]:
    folder = find(source)
    kind_of(folder)  # refuses a folder of another kind
    values: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return values
