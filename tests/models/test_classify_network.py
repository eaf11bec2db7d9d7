import pytest
import torch

from captioner.models.classify_network import ClassifierConfig, ClassifierNetwork, Member, Projection, pad, vote

SMALL = {"components": 8, "hidden_size": 6, "dropout": 0.0}


@pytest.mark.parametrize("pooling", ["mean", "max", "last", "attention"])
@pytest.mark.parametrize(("unit", "both", "layers"), [("mlp", False, 1), ("lstm", True, 2), ("gru", False, 1)])
def test_padding_changes_nothing(pooling, unit, both, layers):
    torch.manual_seed(0)
    config = ClassifierConfig(**SMALL, unit=unit, bidirectional=both, layers=layers, pooling=pooling)
    member = Member(config, inputs=5, classes=3).eval()
    clips = [torch.randn(length, 5) for length in (4, 7, 1)]
    logits, states = member(*pad(clips))
    for row, clip in enumerate(clips):
        alone, own = member(*pad([clip]))
        assert torch.allclose(logits[row], alone[0], atol=1e-6)
        assert torch.allclose(states[row, : len(clip)], own[0], atol=1e-6)
        assert not states[row, len(clip) :].any()


def test_pooling_is_what_its_name_says():
    torch.manual_seed(0)
    inputs, lengths = pad([torch.randn(5, 4)])
    for pooling, expected in (
        ("mean", lambda states: states.mean(dim=1)),
        ("max", lambda states: states.amax(dim=1)),
        ("last", lambda states: states[:, -1]),
    ):
        member = Member(ClassifierConfig(**SMALL, pooling=pooling), 4, 2).eval()
        logits, states = member(inputs, lengths)
        assert torch.allclose(logits, member.readout(expected(states)), atol=1e-6)


def test_the_projection_keeps_what_varies_most_and_no_stream_drowns_another():
    torch.manual_seed(0)
    hidden = torch.randn(500, 2)
    features = torch.stack([hidden @ torch.randn(2, 6), 100 + 0.01 * (hidden @ torch.randn(2, 6))], dim=1)
    projection = Projection(2, 6, 2)
    projection.fit(features)
    projected = projection(features[None])[0].unflatten(1, (2, 2))
    assert projected.square().mean(dim=(0, 2)).tolist() == pytest.approx([1, 1], rel=0.01)
    assert torch.allclose(projected.mean(dim=0), torch.zeros(2, 2), atol=1e-3)
    # two numbers make the six channels, so two components tell all
    solved = torch.linalg.lstsq(projected[:, 0], hidden).solution
    assert torch.allclose(projected[:, 0] @ solved, hidden - hidden.mean(0), atol=0.15)


def test_a_constant_channel_does_no_harm():
    projection = Projection(1, 3, 3)
    projection.fit(torch.full((10, 1, 3), 5.0))
    assert torch.isfinite(projection(torch.full((1, 2, 1, 3), 5.0))).all()


@pytest.mark.parametrize(("inputs", "streams"), [("frames", [0]), ("differences", [1]), ("both", [0, 1])])
def test_inputs_choose_the_streams(inputs, streams):
    network = ClassifierNetwork(ClassifierConfig(**SMALL, inputs=inputs), channels=12, classes=3)
    network.projection.fit(torch.randn(30, len(streams), 12))
    features = torch.randn(2, 4, 2, 12)
    changed = features.clone()
    changed[:, :, [place for place in (0, 1) if place not in streams]] = 0
    assert network.project(features).shape == (2, 4, 8 * len(streams))
    assert torch.equal(network.project(features), network.project(changed))


def test_members_vote_with_their_probabilities():
    logits = torch.tensor([[[0.0, 10.0]], [[10.0, 0.0]], [[10.0, 0.0]]])
    assert vote(logits)[0].tolist() == pytest.approx([2 / 3, 1 / 3], abs=1e-3)
