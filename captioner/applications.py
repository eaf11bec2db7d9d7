"""Every application of the recurrent core, once: what it is called, what it is made of, and which commands use it.

To add an application, add an entry here and the files that it names (CONTRIBUTING.md says which). All names are
`module:attribute` and are imported when they are needed, so that reading this table costs nothing.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

FILES = ("config.json", "model.safetensors", "vocabulary.json")
"""What a model folder holds besides its card."""
MORE_FILES = (
    *("search.json", "search.safetensors"),
    *("concepts.json", "concepts.safetensors"),
    *("phrases.json", "phrases.safetensors"),
)
"""What it may hold too: of a captioner, by what its photos are found and its captions chosen, and its concept words."""


@dataclass(frozen=True)
class Command:
    """A command of the command line.

    Attributes:
        name: as it is typed.
        options: `module:Class`, the dataclass from which its arguments are made.
        run: `module:function` that takes the options and returns the exit status.
        help: one sentence.
    """

    name: str
    options: str
    run: str
    help: str


@dataclass(frozen=True)
class Application:
    """A kind of model and all that belongs to it.

    Attributes:
        noun: what a model of this kind is called.
        model: `module:Class`, which has `load(folder, device, name)`.
        config: `module:Class`, the configuration of its training.
        trainer: `module:Class`, a `captioner.training.training.Training` or like one; its `run_all` trains.
        use: the command that uses the model `{model}`, for messages.
        commands: that it brings.
        files: without which a folder is no such model.
    """

    noun: str
    model: str
    config: str
    trainer: str
    use: str
    commands: tuple[Command, ...] = ()
    files: tuple[str, ...] = FILES


APPLICATIONS = {
    "caption": Application(
        noun="a photo captioner",
        model="captioner.models.caption:Captioner",
        config="captioner.training.caption.config:CaptionTrainingConfig",
        trainer="captioner.pipelines.train.caption:CaptionTraining",
        use="captioner caption PHOTOS --model {model}",
        commands=(
            Command(
                "caption",
                "captioner.pipelines.caption.options:CaptionOptions",
                "captioner.pipelines.caption.command:caption",
                "Caption images and clips: a table on a terminal, JSON Lines on a pipe, or files. "
                "Running again continues.",
            ),
        ),
    ),
    "classify": Application(
        noun="a video classifier",
        model="captioner.models.classify:VideoClassifier",
        config="captioner.training.classify.config:ClassifyTrainingConfig",
        trainer="captioner.pipelines.train.classify:ClassifierTraining",
        use="captioner classify CLIPS --model {model}",
        commands=(
            Command(
                "classify",
                "captioner.pipelines.classify.options:ClassifyOptions",
                "captioner.pipelines.classify.command:classify",
                "Classify clips: a table on a terminal, JSON Lines on a pipe, or files. Running again continues.",
            ),
        ),
        files=FILES[:2],
    ),
    "language": Application(
        noun="a language model",
        model="captioner.models.language:LanguageModel",
        config="captioner.training.language.config:LanguageTrainingConfig",
        trainer="captioner.pipelines.train.language:LanguageTraining",
        use="captioner perplexity {model} FILE.txt",
        commands=(
            Command(
                "perplexity",
                "captioner.pipelines.language.options:PerplexityOptions",
                "captioner.pipelines.language.perplexity:perplexity",
                "Score texts by a language model's perplexity.",
            ),
            Command(
                "generate",
                "captioner.pipelines.language.options:GenerateOptions",
                "captioner.pipelines.language.generate:generate",
                "Continue a prompt with words drawn from a language model.",
            ),
        ),
    ),
    "translate": Application(
        noun="a translator",
        model="captioner.models.translate:Translator",
        config="captioner.training.translate.config:TranslateTrainingConfig",
        trainer="captioner.pipelines.train.translate:TranslatorTraining",
        use="captioner translate FILE.txt --model {model}",
        commands=(
            Command(
                "translate",
                "captioner.pipelines.translate.options:TranslateOptions",
                "captioner.pipelines.translate.command:translate",
                "Translate sentences, captions and subtitles, rows kept in their order. Running again continues.",
            ),
        ),
    ),
    "video": Application(
        noun="a video captioner",
        model="captioner.models.video_caption:VideoCaptioner",
        config="captioner.training.video.config:VideoTrainingConfig",
        trainer="captioner.pipelines.train.video:VideoTraining",
        use="captioner caption CLIPS --model {model}",
    ),
    "search": Application(
        noun="a photo captioner that finds",
        model="captioner.models.caption:Captioner",
        config="captioner.training.search.config:SearchTrainingConfig",
        trainer="captioner.pipelines.train.search:SearchTraining",
        use='captioner search "a dog on the beach" PHOTOS --model {model}',
        commands=(
            Command(
                "search",
                "captioner.pipelines.search.options:SearchOptions",
                "captioner.pipelines.search.command:search",
                "Find photos and moments of clips by a sentence, offline, from an index that keeps itself up to date.",
            ),
        ),
    ),
    "read": Application(
        noun="a reader of text lines",
        model="captioner.models.read:Reader",
        config="captioner.training.read.config:ReadTrainingConfig",
        trainer="captioner.pipelines.train.read:ReaderTraining",
        use="captioner read LINES --model {model}",
        commands=(
            Command(
                "read",
                "captioner.pipelines.read.options:ReadOptions",
                "captioner.pipelines.read.command:read",
                "Read pictures of text lines: a table on a terminal, JSON Lines on a pipe, or files. "
                "Running again continues.",
            ),
            Command(
                "evaluate-lines",
                "captioner.pipelines.evaluate_lines.options:EvaluateLinesOptions",
                "captioner.pipelines.evaluate_lines.command:evaluate_lines",
                "Score texts that were read: character and word error rates, words read right, confusions.",
            ),
        ),
    ),
}

TOOLS = (
    Command(
        "train",
        "captioner.pipelines.train.options:TrainOptions",
        "captioner.pipelines.train.command:train_command",
        "Train what a YAML file says; killed at any moment, --resume continues.",
    ),
    Command(
        "evaluate",
        "captioner.pipelines.evaluate.options:EvaluateOptions",
        "captioner.pipelines.evaluate.command:evaluate",
        "Score captions by BLEU, ROUGE-L and CIDEr-D, equal to the official COCO scorer, without Java.",
    ),
    Command(
        "evaluate-text",
        "captioner.pipelines.evaluate.options:EvaluateTextOptions",
        "captioner.pipelines.evaluate.text:evaluate_text",
        "Score translations by BLEU and chrF, as sacrebleu computes them, with intervals and its signatures.",
    ),
    Command(
        "gradients",
        "captioner.pipelines.gradients.options:GradientsOptions",
        "captioner.pipelines.gradients.command:gradients",
        "Show how far back in time gradients reach, of a model on photos, clips or texts, or of fresh units compared.",
    ),
    Command(
        "export",
        "captioner.pipelines.share.options:ExportOptions",
        "captioner.pipelines.share.export:export",
        "Export a captioner of photos as ONNX, in OpenVINO's form, or as a page that captions photos in the browser.",
    ),
    Command(
        "push",
        "captioner.pipelines.share.options:PushOptions",
        "captioner.pipelines.share.push:push",
        "Publish a model folder on the hub, private unless told otherwise, with a card that the hub can read.",
    ),
    Command(
        "serve",
        "captioner.pipelines.serve.options:ServeOptions",
        "captioner.pipelines.serve.command:serve",
        "Serve a page and an API on which photos, clips and texts are captioned, classified, read and translated.",
    ),
    Command(
        "models",
        "captioner.pipelines.models:ModelsOptions",
        "captioner.pipelines.models:list_models",
        "List the models in the package: size, purpose and measured scores.",
    ),
    Command(
        "cache",
        "captioner.pipelines.cache:CacheOptions",
        "captioner.pipelines.cache:cache",
        "List or clear what is kept outside run folders: CNNs converted for the CPU, and indexes of searches.",
    ),
)
"""Commands that are about models of several kinds, or of none."""


def resolve(name: str) -> Any:
    """What `module:attribute` names."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


def commands() -> dict[str, Command]:
    """All commands by name, in the order of their help."""
    brought = [command for application in APPLICATIONS.values() for command in application.commands]
    return {command.name: command for command in (*brought, *TOOLS)}


def run_command(name: str, **options: Any) -> int:
    """Run a command as the command line would; returns its exit status.

    Raises:
        CaptionerError: what the command raises.
    """
    command = commands()[name]
    return resolve(command.run)(resolve(command.options)(**options)) or 0
