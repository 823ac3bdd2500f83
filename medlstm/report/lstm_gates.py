"""What the gates of the champion's LSTM did during one real stay, recomputed from its weights by the six equations."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from medlstm.errors import MedlstmError, ModelUnavailable
from medlstm.lake.files import Workspace, write_bytes
from medlstm.models.gates import Activations, activations
from medlstm.models.member import Member
from medlstm.registry.versions import champion, load_network
from medlstm.report.gate_plot import GateFigure, draw
from medlstm.sequences.batches import RawBatch, arrange, collate
from medlstm.sequences.stay_sequences import StaySequences, load_sequences, stored_scope
from medlstm.settings.workspace import Config
from medlstm.training.devices import cpu_threads

PICTURE = "gates.svg"
# In double precision the equations and torch's kernel differ in the last digits only.
_LARGEST_DIFFERENCE = 1e-6


@dataclass(frozen=True)
class GateSummary:
    """What was drawn, without anything of the stay.

    `hidden_difference` is the largest difference between the equations' hidden states and the network's own.
    """

    as_of: date
    model_version: str
    model: str
    members: int
    layers: int
    hidden_units: int
    hidden_difference: float
    picture: str


def explain_gates(workspace: Workspace, as_of: date, config: Config) -> GateSummary:
    """Draw the gates of the first member of the champion of `as_of` over the open stay with the most steps.

    Reads the built sequences of that date and writes gates.svg beside its report. Raises ModelUnavailable without a
    champion, MedlstmError when it has no LSTM, when there are no sequences or no open stay, and when the
    equations do not give the network's hidden states.
    """
    record = champion(workspace, as_of)
    if record is None:
        raise ModelUnavailable(f"{as_of}: no model has been promoted up to this date; run `medlstm train` first")
    # The first of the members: each has weights of its own, and a mean of their gates means nothing.
    member = load_network(workspace, record).double().each()[0]
    lstm = lstm_of(member)
    if lstm is None:
        raise MedlstmError(
            f"{record.version}: the champion is a {record.spec.name}, which has no LSTM and so no gates to show; "
            "set model.name to lstm, lstm_attention, cnn_lstm or blend and train"
        )
    sequences = _open_stays(workspace, as_of)
    chosen = longest_stay(sequences)
    batch = collate(arrange(sequences, record.spec), np.array([chosen]), torch.device("cpu"))
    with torch.inference_mode(), cpu_threads(config.training.cpu_threads):
        raw = batch.inputs.as_type(torch.float64)
        features, hidden = lstm_in_use(member, lstm, raw, int(sequences.steps[chosen]) - 1)
        layers = activations(lstm, features)
    difference = float((layers[-1].hidden - hidden).abs().max())
    if not difference <= _LARGEST_DIFFERENCE:
        raise MedlstmError(
            f"{record.version}: the six equations' hidden states differ from the network's by {difference:.2g}, more "
            f"than {_LARGEST_DIFFERENCE:.0e}: the weights or PyTorch's LSTM are not what medlstm takes them for"
        )
    picture = workspace.report(as_of) / PICTURE
    write_bytes(draw(_figure(layers, sequences, chosen)), picture)
    return GateSummary(
        as_of, record.version, record.spec.name, record.spec.members, lstm.num_layers, lstm.hidden_size, difference,
        str(picture),
    )  # fmt: skip


def lstm_of(member: Member) -> nn.LSTM | None:
    """The LSTM within a member (a blend has one in its first part), or None where there is none."""
    return next((module for module in member.modules() if isinstance(module, nn.LSTM)), None)


def lstm_in_use(member: Member, lstm: nn.LSTM, batch: RawBatch, step: int) -> tuple[Tensor, Tensor]:
    """What goes into the LSTM [1, T, F] and what comes out [1, T, H] while the member predicts at a step of the one
    stay of `batch`."""
    seen: list[tuple[Tensor, Tensor]] = []
    hook = lstm.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output[0])))
    try:
        member.at(batch, torch.tensor([0]), torch.tensor([step]))
    finally:
        hook.remove()
    return seen[0]


def longest_stay(sequences: StaySequences) -> int:
    """The position of the stay with the most steps; of several, of one with the most observed bins."""
    observed = np.bincount(sequences.stay, minlength=len(sequences))
    return int(np.lexsort((observed, sequences.steps))[-1])


def _open_stays(workspace: Workspace, as_of: date) -> StaySequences:
    folder: Path = workspace.sequences(as_of)
    if stored_scope(folder) is None:
        raise MedlstmError(f"{folder}: no sequences; run `medlstm preprocess --as-of {as_of}` first")
    sequences = load_sequences(folder)
    still_in = sequences.select(sequences.stays["is_open"].to_numpy(dtype=bool))
    if not len(still_in):
        raise MedlstmError(f"{as_of}: no stay is open, so there is no sequence to show; choose another date")
    return still_in


def _figure(layers: tuple[Activations, ...], sequences: StaySequences, chosen: int) -> GateFigure:
    first, steps = int(sequences.first_bin[chosen]), int(sequences.steps[chosen])
    days = None
    if not sequences.single_step:
        days = first * sequences.bin_hours / 24, (first + steps) * sequences.bin_hours / 24
    panels = [(one.forget, one.input, one.output, one.cell) for one in layers]
    return GateFigure(tuple(tuple(panel[0].numpy() for panel in of_layer) for of_layer in panels), days)
