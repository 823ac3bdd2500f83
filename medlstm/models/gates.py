"""The LSTM written from its six equations, to read and to look into; torch.nn.LSTM computes the same, only faster.

Source: Hochreiter and Schmidhuber, "Long short-term memory", 1997; the forget gate from Gers, Schmidhuber and
Cummins, "Learning to forget", 2000. docs/lstm.md walks through it.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Affine(NamedTuple):
    """What a gate multiplies [h_before, x_t] with and adds to it: weight [H, H + F], bias [H]."""

    weight: Tensor
    bias: Tensor


class CellWeights(NamedTuple):
    """The weights of one layer."""

    forget: Affine
    input: Affine
    candidate: Affine
    output: Affine


class Activations(NamedTuple):
    """What the six equations gave, [B, H] at one step or [B, T, H] at all of them.

    The gates forget, input and output lie in (0, 1), candidate and hidden in (-1, 1); cell has no bounds.
    """

    forget: Tensor
    input: Tensor
    candidate: Tensor
    cell: Tensor
    output: Tensor
    hidden: Tensor


def cell_step(x_t: Tensor, h_before: Tensor, C_before: Tensor, weights: CellWeights) -> Activations:
    """One step of one layer: x_t [B, F], h_before and C_before [B, H], the hidden and cell state of the step before."""
    (W_f, b_f), (W_i, b_i), (W_C, b_C), (W_o, b_o) = weights
    joined = torch.cat([h_before, x_t], dim=-1)
    f_t = torch.sigmoid(joined @ W_f.T + b_f)
    i_t = torch.sigmoid(joined @ W_i.T + b_i)
    candidate = torch.tanh(joined @ W_C.T + b_C)
    C_t = f_t * C_before + i_t * candidate
    o_t = torch.sigmoid(joined @ W_o.T + b_o)
    h_t = o_t * torch.tanh(C_t)
    return Activations(f_t, i_t, candidate, C_t, o_t, h_t)


def run_layer(features: Tensor, weights: CellWeights) -> Activations:
    """One layer over features [B, T, F], T at least 1, from h_0 = 0 and C_0 = 0."""
    hidden = cell = features.new_zeros(len(features), len(weights.forget.bias))
    steps = []
    for x_t in features.unbind(dim=1):
        step = cell_step(x_t, hidden, cell, weights)
        hidden, cell = step.hidden, step.cell
        steps.append(step)
    return Activations(*(torch.stack(of_one, dim=1) for of_one in zip(*steps, strict=True)))


def activations(lstm: nn.LSTM, features: Tensor) -> tuple[Activations, ...]:
    """Every layer's activations under the weights of `lstm`, the lowest layer first; features [B, T, F].

    Gradients reach the weights. There is no dropout between the layers, as in evaluation. Raises ValueError of an
    LSTM that these equations do not describe.
    """
    layers: list[Activations] = []
    for weights in weights_of(lstm):
        layers.append(run_layer(layers[-1].hidden if layers else features, weights))
    return tuple(layers)


def hidden_states(lstm: nn.LSTM, features: Tensor) -> Tensor:
    """The hidden states of the top layer [B, T, H]: the first of what `lstm` returns."""
    return activations(lstm, features)[-1].hidden


def weights_of(lstm: nn.LSTM) -> tuple[CellWeights, ...]:
    """Each layer's weights as the equations name them.

    torch.nn.LSTM stacks the rows of input, forget, candidate and output, keeps the columns of x_t and of h_before
    apart, and adds two biases where one would do. Raises ValueError when it is bidirectional or projects its output.
    """
    if lstm.bidirectional or lstm.proj_size:
        raise ValueError("an LSTM that is bidirectional or has a projection has more than the six equations")
    return tuple(_layer_weights(lstm, layer) for layer in range(lstm.num_layers))


def _layer_weights(lstm: nn.LSTM, layer: int) -> CellWeights:
    named = dict(lstm.named_parameters())
    from_input, from_hidden = named[f"weight_ih_l{layer}"], named[f"weight_hh_l{layer}"]
    weight = torch.cat([from_hidden, from_input], dim=1)
    bias = named[f"bias_ih_l{layer}"] + named[f"bias_hh_l{layer}"] if lstm.bias else weight.new_zeros(len(weight))
    parts = zip(weight.chunk(4), bias.chunk(4), strict=True)
    input_gate, forget, candidate, output = (Affine(*part) for part in parts)
    return CellWeights(forget, input_gate, candidate, output)
