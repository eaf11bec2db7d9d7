"""`captioner push`: a model folder goes to the hub, with a card that the hub can read."""

import json
import re
from pathlib import Path
from typing import Any

from captioner.applications import APPLICATIONS, FILES, MORE_FILES
from captioner.errors import ModelError, UsageError
from captioner.models.base import find, kind_of, load
from captioner.pipelines.share.options import PushOptions

TASKS = {
    "caption": "image-to-text",
    "classify": "video-classification",
    "language": "text-generation",
    "read": "image-to-text",
    "search": "feature-extraction",
    "translate": "translation",
    "video": "video-text-to-text",
}
"""What the hub calls what models of each kind do (`pipeline_tag`)."""
_BOUNDS = ("low", "high")  # of an accuracy: no metrics of their own
_NAME = re.compile(r"(?!.*(--|\.\.|\.git$))(?=.{3,96}$)\w([\w.-]*\w)?/\w([\w.-]*\w)?", re.ASCII)


def push(options: PushOptions) -> int:
    """Run the command; returns the exit status.

    Raises:
        UsageError: an option is wrong, or the repository is not as public as was said.
        ModelError: the folder is no model, or the hub does not take it.
    """
    if not _NAME.fullmatch(options.repository):
        raise UsageError(
            f"{options.repository}: not a name on the hub; write owner/name, with letters, digits, '-', '_' and '.'."
        )
    if options.model.startswith("hf-hub:"):
        raise UsageError(f"{options.model}: is on the hub already; name a folder.")
    folder = find(options.model)
    load(folder, "cpu")  # what is damaged is not published
    content = {name: folder / name for name in APPLICATIONS[kind_of(folder)].files}
    content |= {name: folder / name for name in MORE_FILES if (folder / name).is_file()}
    text = card(folder, options)
    print(f"{options.repository}, {'public' if options.public else 'private'}:")
    for name, path in content.items():
        print(f"  {name} ({path.stat().st_size / 1e6:.1f} MB)")
    print(f"  README.md, which begins with\n\n{text.partition(chr(10) + '---' + chr(10))[0]}\n---\n")
    if options.license is None:
        print("No licence is said; --license ID says one.")
    if not options.dry_run:
        print(_publish(content, text, options))
    return 0


def card(folder: Path, options: PushOptions) -> str:
    """A model's card with the hub's metadata before it; metadata that stands there is replaced.

    Raises:
        ModelError: the card cannot be read.
    """
    from huggingface_hub import EvalResult, ModelCardData

    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kind = config["kind"]
    readme = folder / "README.md"
    try:
        text = readme.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        text = f"# {folder.name}\n\n{config.get('purpose', '')}\n"
    except UnicodeDecodeError as error:
        raise ModelError(f"{readme}: is not UTF-8; save it as UTF-8.") from error
    task = TASKS.get(kind)
    results = [
        EvalResult(
            task_type=task or kind,
            dataset_type=re.sub(r"[^\w-]+", "-", data).strip("-").lower(),
            dataset_name=data,
            metric_type=metric.lower(),
            metric_value=value,
        )
        for data, scores in config.get("scores", {}).items()
        for metric, value in scores.items()
        if metric not in _BOUNDS
    ]
    data = ModelCardData(
        license=options.license,
        library_name="captioner",
        pipeline_tag=task,
        language=[config[key] for key in ("source", "target") if key in config] or None,
        tags=["captioner", kind],
        datasets=list(options.dataset) if options.dataset else None,
        metrics=sorted({result.metric_type for result in results}) or None,
        model_name=options.repository.rpartition("/")[2] if results else None,
        eval_results=results or None,
    )
    use = f'\n## Use\n\n```python\nfrom captioner import load\n\nmodel = load("hf-hub:{options.repository}")\n```\n'
    body = re.sub(r"\A---\n.*?\n---\n+", "", text, flags=re.DOTALL).rstrip("\n") + "\n"
    return f"---\n{data.to_yaml()}\n---\n\n{body}" + ("" if f"hf-hub:{options.repository}" in body else use)


def _publish(content: dict[str, Path], text: str, options: PushOptions) -> str:
    """Commit the files; returns where they are."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
    from huggingface_hub.errors import LocalTokenNotFoundError

    hub = HfApi()
    try:
        address = hub.create_repo(options.repository, private=not options.public, exist_ok=True)
        there = hub.model_info(options.repository)
        if not options.public and not there.private:
            raise UsageError(
                f"{options.repository}: is public; say --public if the model is to be, or choose another name."
            )
        if options.public and there.private:
            raise UsageError(
                f"{options.repository}: is there and private; make it public on the hub first, or leave --public out."
            )
        operations: list[CommitOperationAdd | CommitOperationDelete] = [CommitOperationAdd("README.md", text.encode())]
        operations += [CommitOperationAdd(name, str(path)) for name, path in content.items()]
        # files of the model that was there before would not fit this one
        old = {each.rfilename for each in there.siblings or []} & {*FILES, *MORE_FILES} - set(content)
        operations += [CommitOperationDelete(name) for name in sorted(old)]
        hub.create_commit(options.repository, operations, commit_message=options.message)
    except UsageError:
        raise
    except LocalTokenNotFoundError as error:
        raise ModelError(
            f"{options.repository}: the hub asks who you are; run `hf auth login`, or set HF_TOKEN."
        ) from error
    except Exception as error:  # the hub's client raises the errors of its HTTP library too, which its versions change
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in (401, 403):
            remedy = "run `hf auth login` with a token that may write there, or set HF_TOKEN"
        else:
            remedy = "check the name and the network, and run the same command again"
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelError(f"{options.repository}: the hub does not take it ({reason}); {remedy}.") from error
    return str(address)
