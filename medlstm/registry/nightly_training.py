"""One night's training: fit on what the night may know, hold it against the champion, keep the record."""

from dataclasses import dataclass
from datetime import date

from medlstm.contracts.output_checks import check_sequences
from medlstm.errors import MedlstmError, ModelUnavailable
from medlstm.evaluation.metrics import paired_bootstrap
from medlstm.lake.files import Workspace
from medlstm.models.predict import predict
from medlstm.registry.promises import promise_of_nights
from medlstm.registry.promotion import Champion, decide
from medlstm.registry.versions import champion, load_network, load_records, save_model
from medlstm.sequences.batches import arrange
from medlstm.sequences.stay_sequences import load_sequences, stored_scope
from medlstm.settings.workspace import Config
from medlstm.training.devices import choose_device, cpu_threads
from medlstm.training.fit_and_evaluate import Evaluation, TrainedModel, evaluate, train_model
from medlstm.training.fit_member import targets
from medlstm.training.leak_finder import Leak
from medlstm.training.train_loop import Progress


@dataclass(frozen=True)
class TrainSummary:
    """How a training ended; `version` is None where too few stays were there to train on, and `note` says so. `sizes`
    are those that followed from the number of stays, in words; `leaks` the inputs that tell of the discharge."""

    as_of: date
    version: str | None
    promoted: bool
    note: str
    training_stays: int = 0
    censored_stays: int = 0
    epochs: int = 0
    test: Evaluation | None = None
    sizes: str = ""
    leaks: tuple[Leak, ...] = ()


def train_night(workspace: Workspace, as_of: date, config: Config, on_epoch: Progress | None = None) -> TrainSummary:
    """Train on the built sequences of `as_of`, gate against the champion of that date, and save the version.

    Raises MedlstmError when the sequences are missing or hold open stays only, ContractStopped when they break their
    contract.
    """
    folder = workspace.sequences(as_of)
    if stored_scope(folder) != "all":
        raise MedlstmError(f"{folder}: no sequences of all stays; run `medlstm preprocess --as-of {as_of}` first")
    check_sequences(workspace, as_of, config)
    sequences = load_sequences(folder)
    with cpu_threads(config.training.cpu_threads):
        try:
            model = train_model(sequences, config, config.cutoff_instant(as_of), on_epoch)
        except ModelUnavailable as error:
            return TrainSummary(as_of, None, False, str(error))
        judged = _judge_champion(workspace, as_of, config, model)
        decision = decide(model.test, judged, config.training.promotion_margin_share)
        cut_short = "; training was cut short by training.max_minutes" if model.fitted.reached_deadline else ""
        note = decision.note + cut_short
        recipes = {record.version: record.spec for record in load_records(workspace, as_of)}
        promise = promise_of_nights(workspace, as_of, config, model.fitted.spec, recipes)
        record = save_model(workspace, model, as_of, decision.promoted, note, promise)
    return TrainSummary(
        as_of, record.version, record.promoted, note, model.fitted.training_stays, model.fitted.censored_stays,
        len(model.fitted.losses), model.test, str(model.fitted.sizes), model.leaks,
    )  # fmt: skip


def _judge_champion(workspace: Workspace, as_of: date, config: Config, challenger: TrainedModel) -> Champion | None:
    """The champion on tonight's test split, whose patients it has not seen either: splits never move."""
    record = champion(workspace, as_of)
    if record is None:
        return None
    test, points = challenger.test_stays, challenger.test_points
    device = choose_device(config.training.device)
    answers = predict(load_network(workspace, record), arrange(test, record.spec), points, device)
    evaluation = evaluate(
        answers, record.spec, record.interval, record.baseline_median_days, record.baseline, test, points
    )
    wanted = targets(test, points, challenger.fitted.spec)
    return Champion(
        evaluation,
        *paired_bootstrap(
            wanted.restricted_error(challenger.test_answers.days), wanted.restricted_error(answers.days), points.stay
        ),
    )
