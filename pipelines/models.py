"""`captioner models`: what ships in the package."""

import json
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class ModelsOptions:
    """What can be chosen when models are listed."""

    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False


def list_models(options: ModelsOptions) -> None:
    """Print name, kind, size, purpose and measured scores of every model in the package, as a table or as JSON."""
    from captioner.models.base import DEFAULT, shipped, use  # imports PyTorch, which help need not wait for

    rows: list[dict[str, Any]] = []
    for name, folder in shipped().items():
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        size = sum(file.stat().st_size for file in folder.iterdir())
        row = {"name": name, "kind": config["kind"], "bytes": size, "use": use(config["kind"], name)}
        rows.append(row | {"purpose": config["purpose"], "scores": config["scores"]})
    if options.as_json:
        print(json.dumps(rows, indent=2))
        return
    table = Table("model", "kind", "MB", "purpose", "measured", caption=f"{DEFAULT} is what `captioner caption` uses")
    for row in rows:
        scores = "\n".join(
            f"{data}: " + ", ".join(f"{metric} {value:.3f}" for metric, value in each.items())
            for data, each in row["scores"].items()
        )
        table.add_row(row["name"], row["kind"], f"{row['bytes'] / 1e6:.1f}", row["purpose"], scores)
    Console().print(table)
