"""The `captioner` command. Signatures only: each command imports its job when it runs, so that help stays fast."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from captioner.errors import CaptionerError

app = typer.Typer(
    name="captioner",
    help="Caption image folders, train captioners on your own photos, and score captions.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from captioner import __version__

        typer.echo(f"captioner {__version__}")
        raise typer.Exit()


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options shared by all commands."""


@app.command()
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="What to train, on what, and how.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Change keys, such as data.root=photos.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Run folder; runs/NAME by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in this folder.")] = False,
    device: Annotated[str, typer.Option(help="auto takes a GPU if there is one; or cpu.")] = "auto",
) -> None:
    """Train what a YAML file says; killed at any moment, --resume continues."""
    from captioner.models.base import kind_of, use

    from .train import train as run

    folder = run(config, overrides or [], output, resume=resume, device=device)
    typer.echo(f"The model is in {folder}; try: {use(kind_of(folder), folder)}")


@app.command()
def models(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the models in the package: size, purpose and measured scores."""
    from .models import list_models

    list_models(as_json)


@app.command()
def caption(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", help="Images, clips, folders, patterns, or - to read paths."),
    ],
    output: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="FILE.jsonl, .csv, .json (COCO), .html, or subtitles of one clip: .srt, .vtt; may be repeated.",
        ),
    ] = None,
    sidecar: Annotated[bool, typer.Option("--sidecar", help="Write a .txt beside each image.")] = False,
    annotations: Annotated[
        str | None, typer.Option(metavar="FILE", help="COCO captions file that gives the image ids for .json.")
    ] = None,
    model: Annotated[str, typer.Option(help="A shipped model, a model folder, or hf-hub:owner/name.")] = "photos",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    batch_size: Annotated[int | None, typer.Option(min=1, help="Images at a time (default: by device).")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads, each with images of its own (default: cores).")
    ] = None,
    beam_size: Annotated[int | None, typer.Option(min=1, help="Hypotheses kept (default: the model's).")] = None,
    num_captions: Annotated[int, typer.Option(min=1, help="Captions for each image.")] = 1,
    max_length: Annotated[int | None, typer.Option(min=1, help="Most words (default: the model's).")] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Frames seen of a clip or segment (default: the model's, or 4).")
    ] = None,
    every: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Caption each so many seconds of a clip too.")
    ] = None,
    scenes: Annotated[bool, typer.Option("--scenes", help="Caption each scene of a clip too.")] = False,
    lm: Annotated[str | None, typer.Option(help="A language model that has a say in every word.")] = None,
    lm_weight: Annotated[float | None, typer.Option(help="How much.  [default: 0.1]")] = None,
    max_pixels: Annotated[int, typer.Option(min=1, help="Refuse larger images.")] = 200_000_000,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start outputs afresh.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")] = False,
) -> None:
    """Caption images and clips: a table on a terminal, JSON Lines on a pipe, or files. Running again continues."""
    from .caption_command import Options
    from .caption_command import caption as run

    options = Options(
        inputs=inputs,
        outputs=output or [],
        sidecar=sidecar,
        annotations=annotations,
        model=model,
        device=device,
        batch_size=batch_size,
        workers=workers,
        beam_size=beam_size,
        num_captions=num_captions,
        max_length=max_length,
        frames=frames,
        every=every,
        scenes=scenes,
        lm=lm,
        lm_weight=lm_weight,
        max_pixels=max_pixels,
        overwrite=overwrite,
        quiet=quiet,
    )
    raise typer.Exit(run(options))


@app.command()
def classify(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", help="Clips, folders, patterns, or - to read paths."),
    ],
    model: Annotated[str, typer.Option(help="yoga, fight, a model folder, or hf-hub:owner/name.")],
    output: Annotated[
        list[str] | None,
        typer.Option("--output", "-o", metavar="FILE", help="FILE.jsonl, .csv, .json or .html; may be repeated."),
    ] = None,
    top_k: Annotated[int, typer.Option(min=1, help="Classes for each clip, the surest first.")] = 3,
    every: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Also classify each so many seconds of a clip.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    batch_size: Annotated[int | None, typer.Option(min=1, help="Clips at a time (default: by device).")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Clips decoded side by side (default: cores).")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start outputs afresh.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")] = False,
) -> None:
    """Say what happens in clips: a table on a terminal, JSON Lines on a pipe, or files. Running again continues."""
    from .classify_command import Options
    from .classify_command import classify as run

    options = Options(
        inputs=inputs,
        outputs=output or [],
        model=model,
        top_k=top_k,
        every=every,
        device=device,
        batch_size=batch_size,
        workers=workers,
        overwrite=overwrite,
        quiet=quiet,
    )
    raise typer.Exit(run(options))


@app.command()
def evaluate(
    annotations: Annotated[
        Path, typer.Option("--annotations", "-a", help="COCO captions or Karpathy's dataset_*.json, plain or zipped.")
    ],
    results: Annotated[
        Path | None, typer.Option("--results", "-r", help="COCO results: a list of image_id and caption.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the photos, to caption first; with --results to show in the report.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.jsonl", help="Where --images keeps its captions.")
    ] = None,
    model: Annotated[str, typer.Option(help="A shipped model, a model folder, or hf-hub:owner/name.")] = "photos",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    lm: Annotated[str | None, typer.Option(help="With --images: a language model, as in captioner caption.")] = None,
    lm_weight: Annotated[float | None, typer.Option(help="How much it has to say.")] = None,
    split: Annotated[str | None, typer.Option(help="Part of a Karpathy file.  [default: test]")] = None,
    metrics: Annotated[str, typer.Option(help="Any of bleu,rouge,cider; meteor,spice with Java.")] = "bleu,rouge,cider",
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Write scores as JSON; - prints only that.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a report with the best and worst images.")] = None,
    compare: Annotated[Path | None, typer.Option(help="Other results for the same images, for a paired test.")] = None,
    training: Annotated[Path | None, typer.Option(help="Captions the model was trained on, to count copies.")] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Score what is there; the signature says so.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no table.")] = False,
) -> None:
    """Score captions by BLEU, ROUGE-L and CIDEr-D, equal to the official COCO scorer, without Java."""
    from .evaluate_coco import Options
    from .evaluate_coco import evaluate as run

    options = Options(
        annotations=annotations,
        results=results,
        images=images,
        output=output,
        model=model,
        device=device,
        lm=lm,
        lm_weight=lm_weight,
        split=split,
        metrics=[name.strip().lower() for name in metrics.split(",")],
        json=json,
        html=html,
        compare=compare,
        training=training,
        allow_missing=allow_missing,
        quiet=quiet,
    )
    raise typer.Exit(run(options))


@app.command()
def perplexity(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A language model, such as captions.")],
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Text, plain, .gz, or in a zip: a.zip/b.txt.")],
    json: Annotated[str | None, typer.Option(metavar="FILE|-", help="Write JSON; - prints only that.")] = None,
    per_line: Annotated[
        bool, typer.Option("--per-line", help="Score each line on its own, and print them most fluent first.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
) -> None:
    """Score texts by a language model's perplexity."""
    from .perplexity import perplexity as run

    raise typer.Exit(run(model, files, device=device, as_json=json, per_line=per_line))


@app.command()
def generate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A language model, such as captions.")],
    prompt: Annotated[str, typer.Option(help="First words of each line.")] = "",
    num: Annotated[int, typer.Option("-n", "--num", min=1, help="Lines to draw.")] = 1,
    temperature: Annotated[float, typer.Option(help="Below 1 is bolder on probable words.")] = 1.0,
    top_k: Annotated[int, typer.Option(min=0, help="Draw among so many words; 0 among all.")] = 0,
    top_p: Annotated[float, typer.Option(help="Then among the fewest that have so much probability.")] = 1.0,
    max_length: Annotated[int, typer.Option(min=1, help="Most words after the prompt.")] = 50,
    seed: Annotated[int | None, typer.Option(help="Of the draws, to repeat them.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
) -> None:
    """Continue a prompt with words drawn from a language model."""
    from captioner.decoding.steps import Search

    from .generate import generate as run

    options = Search(
        "sample",
        num_captions=num,
        max_length=max_length,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
    )
    run(model, prompt, options, device=device)


@app.command()
def gradients(
    what: Annotated[
        list[str],
        typer.Argument(metavar="MODEL INPUT... | UNIT...", help="A model and what it reads, or mlp, tanh, lstm, gru."),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FIGURE", help="FIGURE.png, .svg or .pdf.")
    ] = None,
    json: Annotated[str | None, typer.Option(metavar="FILE|-", help="Write JSON; - prints only that.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Longest lag: steps of fresh networks, words of texts.")] = 100,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Estimate norms from so many random vectors: for long sequences.")
    ] = None,
    clip: Annotated[float, typer.Option(help="Longest gradient that clipping leaves.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of fresh networks and random vectors.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
) -> None:
    """Show how far back in time gradients reach, of a model on photos, clips or texts, or of fresh units compared."""
    from .gradients_command import Options
    from .gradients_command import gradients as run

    options = Options(
        what=what, output=output, json=json, steps=steps, samples=samples, clip=clip, seed=seed, device=device
    )
    raise typer.Exit(run(options))


def main() -> None:
    """Run the command line; errors meant for people become one sentence on standard error and status 2."""
    try:
        app()
    except CaptionerError as error:
        if "--debug" in sys.argv:
            raise
        typer.echo(f"captioner: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
