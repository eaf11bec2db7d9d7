import torch

from captioner.recurrent.attention import GridAttention


def test_attention_weights_sum_to_one_and_average_what_they_weigh():
    torch.manual_seed(0)
    attention = GridAttention(8, heads=2)
    states, regions = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    context, weights = attention(states, regions, regions)
    assert context.shape == (2, 3, 8)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3))
    alike = torch.ones(2, 5, 8)
    torch.testing.assert_close(attention(states, regions, alike)[0], torch.ones(2, 3, 8))
