import pytest
import torch

from captioner.recurrent.stepping import StepwiseRNN, prepacked_linear, tanh
from captioner.recurrent.units import Recurrent


def multiplies_bfloat16():
    capabilities = torch.cpu.get_capabilities()
    return capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("unit", ["tanh", "lstm", "gru"])
@torch.no_grad()
def test_steps_give_the_states_of_the_whole_sequence(unit, layers):
    torch.manual_seed(0)
    recurrent = Recurrent(unit, 5, 7, layers).double()
    for value in recurrent.parameters():
        value.uniform_(-1, 1)  # biases too, which begin as zero
    inputs = torch.randn(11, 5, dtype=torch.float64)
    rows = torch.randint(11, (3, 6))
    expected, end = recurrent(inputs[rows])
    cells, state = StepwiseRNN(recurrent, inputs), recurrent.initial_state(3, like=inputs)
    for step in range(6):
        states, state = cells.step(rows[:, step], state)
        torch.testing.assert_close(states, expected[:, step])
    torch.testing.assert_close(state, end)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 7, 160])
@pytest.mark.parametrize("bias", [True, False])
@torch.no_grad()
def test_a_prepacked_layer_multiplies_as_any_other(dtype, rows, bias):
    torch.manual_seed(0)
    layer = torch.nn.Linear(48, 131, bias=bias).to(dtype)
    inputs = torch.randn(rows, 48)
    found = prepacked_linear(layer.weight, layer.bias)(inputs.to(dtype))
    assert found.dtype == dtype
    expected = layer.double()(inputs.to(dtype).double())
    torch.testing.assert_close(found.double(), expected, atol=0.02 if dtype == torch.bfloat16 else 1e-5, rtol=0.01)


@pytest.mark.skipif(not multiplies_bfloat16(), reason="this CPU has no bfloat16 products")
@torch.no_grad()
def test_bfloat16_weights_are_laid_out_once_and_not_in_every_call():
    layer = torch.nn.Linear(48, 131).bfloat16()
    inputs = torch.randn(7, 48).bfloat16()
    multiply = prepacked_linear(layer.weight, layer.bias)
    before = multiply(inputs)
    layer.weight.zero_()
    assert torch.equal(multiply(inputs), before)


@torch.no_grad()
def test_operators_that_another_pytorch_lacks_or_calls_otherwise_cost_only_time(monkeypatch, caplog):
    layer = torch.nn.Linear(8, 5).bfloat16()
    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_linear_weight", lambda weight, rows: weight, raising=False)
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", lambda inputs: inputs, raising=False)
    with caplog.at_level("INFO"):
        multiply = prepacked_linear(layer.weight, layer.bias)
    inputs = torch.randn(3, 8).bfloat16()
    assert torch.equal(multiply(inputs), layer(inputs))
    assert "not laid out beforehand" in caplog.text


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tanh_is_as_exact_as_its_type(dtype):
    values = torch.linspace(-4, 4, 10_001).to(dtype)
    assert torch.equal(tanh(values), values.tanh())


def test_tanh_of_every_bfloat16_rounds_to_the_same():
    every = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(torch.bfloat16)
    exact = every.float().tanh().bfloat16()
    usual = every.abs() > 2e-5
    assert torch.equal(tanh(every)[usual], exact[usual])
    tiny = every.abs() <= 2e-5
    torch.testing.assert_close(tanh(every)[tiny], exact[tiny], atol=1e-7, rtol=0)
    assert tanh(every)[every.isnan()].isnan().all()
