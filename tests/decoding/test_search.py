from captioner.decoding.beam import beam_search
from captioner.decoding.sampling import sample_search
from captioner.decoding.search import DecodingConfig, search


def test_the_method_chooses_the_search(tiny):
    model = tiny(0)
    for options, method in ((DecodingConfig(), beam_search), (DecodingConfig("sample", seed=1), sample_search)):
        assert search(model, *model.start(2), options) == method(model, *model.start(2), options)


def test_no_images_give_no_captions(tiny):
    assert search(tiny(0), *tiny(0).start(0), DecodingConfig()) == []
