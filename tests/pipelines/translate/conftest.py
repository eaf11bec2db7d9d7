import pytest

from captioner.pipelines.translate.command import translate
from captioner.pipelines.translate.options import TranslateOptions


@pytest.fixture(scope="module")
def model(make_translator, tmp_path_factory):
    folder = tmp_path_factory.mktemp("translator") / "tiny"
    make_translator().save(folder, "A model with random weights, for tests.")
    return str(folder)


@pytest.fixture(scope="module")
def expected(make_translator):
    model = make_translator()
    return lambda *sentences: [each.text for each in model.translate(sentences)]


@pytest.fixture
def run(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*inputs, **options):
        outputs = options.pop("outputs", None)
        return translate(TranslateOptions(inputs=list(inputs), outputs=outputs, model=model, quiet=True, **options))

    return run
