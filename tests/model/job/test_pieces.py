"""Pieces of channels: what they rise to, how they learn, and what they settle on."""

from __future__ import annotations

import pytest
import torch

from hashwarden.model.job.pieces import WIDER, Pieces, _Rise


@pytest.fixture
def cut():
    pieces = Pieces(2, 3)
    pieces.set_edges(torch.tensor([[0.0, 1.0, 3.0, 10.0], [0.0, 0.001, 400.0, 700.0]]))
    return pieces


def test_each_piece_rises_over_its_own_range(cut):
    with torch.no_grad():
        risen = cut(torch.tensor([[2.0, 550.0], [0.0, 0.0], [1e9, 1e9]]))
    wanted = [[[1, 0.5, 0], [1, 1, 0.5]], [[0] * 3] * 2, [[1] * 3] * 2]
    assert torch.allclose(risen, torch.tensor(wanted, dtype=torch.float32), atol=1e-6)


def test_the_written_gradient_is_that_of_the_function():
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(5, 4, 2, generator=generator, dtype=torch.float64) * 10
    low = torch.rand(2, 3, generator=generator, dtype=torch.float64).requires_grad_()
    span = (torch.rand(2, 3, generator=generator, dtype=torch.float64) * 5 + 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: _Rise.apply(values, a, b), (low, span))


def test_pieces_move_to_where_they_tell_values_apart(cut):
    """Two values that fall into one wide piece: learning to tell them apart sharpens it."""
    values, wanted = torch.tensor([[5.0, 0.0], [7.0, 0.0]]), torch.tensor([0.0, 1.0])
    optimiser = torch.optim.Adam(cut.parameters(), 0.05)
    before = _apart(cut, values)
    for _ in range(100):
        optimiser.zero_grad()
        (cut(values)[:, 0, 2] - wanted).square().sum().backward()
        optimiser.step()
    assert _apart(cut, values) > before + 0.2


def _apart(cut, values):
    with torch.no_grad():
        risen = cut(values)[:, 0, 2]
    return float(risen[1] - risen[0])


def test_what_was_learned_settles_without_a_change(cut):
    values = torch.rand(50, 2) * torch.tensor([12.0, 800.0])
    with torch.no_grad():
        cut.shift.uniform_(-2, 2)
        cut.stretch.uniform_(-3, 3)
        before = cut(values)
        cut.settle()
        assert torch.equal(cut(values), before)
        assert torch.equal(cut.shift, torch.zeros(2, 3))
        assert torch.allclose(cut.double()(values.double()).float(), before, rtol=0, atol=1e-6)
    assert (cut.low >= 0).all()


def test_no_piece_goes_below_zero_or_out_of_its_bounds(cut):
    began = cut.span.clone()
    with torch.no_grad():
        cut.shift.fill_(-100)
        cut.stretch.copy_(torch.tensor([[-100.0, 0, 100]] * 2))
        assert torch.equal(cut(torch.zeros(1, 2)), torch.zeros(1, 2, 3))
        cut.settle()
    assert (cut.low == 0).all()
    assert torch.allclose(cut.span, began * torch.tensor([1 / WIDER, 1, WIDER]))
