"""A loss on PyTorch tensors: value and hand-derived gradient inside a PyTorch model.

pip install torch && python scripts/torch_tensors.py
"""

import torch

from mini_repr.losses.pairs.infonce import infonce


class OnTorch(torch.autograd.Function):
    """A loss page as one operation of PyTorch: its value forward, its hand-derived gradients backward."""

    @staticmethod
    def forward(ctx, page, settings, *tensors):
        value, gradients = page.value_and_grad(*(t.detach().cpu().numpy() for t in tensors), **settings)
        arrays = [name for name, p in page.parameters.items() if p.annotation.is_array]
        ctx.save_for_backward(*(torch.from_numpy(gradients[name]) for name in arrays[: len(tensors)]))
        return torch.from_numpy(value)

    @staticmethod
    def backward(ctx, g):
        return None, None, *(g * gradient.to(g.device) for gradient in ctx.saved_tensors)


def on_torch(page, *tensors, **settings):
    """``on_torch(infonce, a, b, temperature=0.2)``: the loss of tensors that PyTorch can differentiate further."""
    return OnTorch.apply(page, settings, *tensors)


def main():
    torch.manual_seed(0)
    model = torch.nn.Linear(32, 16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    x = torch.randn(64, 32)
    for step in range(5):
        loss = on_torch(infonce, model(x), model(x + 0.1 * torch.randn_like(x)), temperature=0.2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step + 1}: loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
