"""Fit an ensemble: every member on its own stays, intervals on stays apart; errors out of fold come for free."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import safetensors.torch
import torch
from joblib import Parallel, delayed
from torch import nn

from medlstm.errors import ModelUnavailable
from medlstm.evaluation.baseline import KaplanMeierBaseline, fit_baseline
from medlstm.evaluation.conformal_intervals import Interval, calibrate
from medlstm.models.blending import BlendMember
from medlstm.models.distribution import kaplan_meier, kaplan_meier_median
from medlstm.models.ensemble import Ensemble, build_member
from medlstm.models.member import Member
from medlstm.models.predict import predict
from medlstm.models.spec import ModelSpec
from medlstm.sequences.batches import Stays, arrange
from medlstm.sequences.nightly_points import NightlyPoints, elapsed_days
from medlstm.sequences.stay_sequences import StaySequences
from medlstm.settings.workspace import Config
from medlstm.training.blend_weights import fit_blend_weights
from medlstm.training.devices import choose_device, cpu_threads
from medlstm.training.fit_member import MemberStays, fit_member, is_known, targets
from medlstm.training.fit_sharpness import fit_sharpness
from medlstm.training.input_statistics import fit_buffers, fit_spec, set_buffers
from medlstm.training.known_points import groups_at, split_of, within_horizon
from medlstm.training.out_of_fold import OutOfFold, predicted_out_of_fold, widenings_of
from medlstm.training.sizes import Sizes, processes_for, sizes_for
from medlstm.training.train_loop import EpochLoss, Progress
from medlstm.training.validation_folds import assign_windows, window_count

logger = logging.getLogger("medlstm.training")

# Where predictions of some stays are wanted.
PointsOf = Callable[[StaySequences], NightlyPoints]


@dataclass(frozen=True)
class FittedModel:
    """A fitted network on the CPU with its intervals, and what is known of its errors from training alone.

    `baseline_median_days` is the constant that a prediction has to beat: the product-limit median of the remaining days
    at the points of training stays; `baseline` is what it should beat, and knows more. `seconds` is the time that the
    members took.
    """

    spec: ModelSpec
    sizes: Sizes
    network: Ensemble
    interval: Interval
    baseline_median_days: float
    baseline: KaplanMeierBaseline
    training_stays: int
    censored_stays: int
    out_of_fold: tuple[OutOfFold, ...]
    losses: tuple[EpochLoss, ...]
    reached_deadline: bool
    seconds: float


@dataclass(frozen=True)
class _Design:
    """What all members share: architecture and inputs, sizes, and the buffers of their input layers."""

    spec: ModelSpec
    sizes: Sizes
    buffers: dict[str, torch.Tensor]


@dataclass(frozen=True)
class _Plan:
    """What every member trains on, and what all share."""

    design: _Design
    members: list[MemberStays]
    windows: int
    calibration: StaySequences
    usual_survival: torch.Tensor
    baseline_median_days: float
    baseline: KaplanMeierBaseline
    training_stays: int
    censored_stays: int
    device: torch.device


def fit_model(
    sequences: StaySequences, points_of: PointsOf, config: Config, on_epoch: Progress | None = None
) -> FittedModel:
    """Fit on the train and validation splits and calibrate on the calibration split; other splits are not looked at.

    `points_of` names the moments of some stays at which the model will be asked. Raises ModelUnavailable with too
    few discharged stays, and MedlstmError when the loss is not finite.
    """
    plan = _plan(sequences, points_of, config)
    logger.info("training on %d stays: %s", plan.training_stays, plan.design.sizes)
    started = time.monotonic()
    network, losses, late = _fit_members(plan, config, on_epoch)
    return _finished(plan, network, points_of, config, losses, late, time.monotonic() - started)


def fit_blend(
    fitted: Mapping[str, FittedModel], sequences: StaySequences, points_of: PointsOf, config: Config
) -> FittedModel:
    """The blend of models, by name, that were fitted on the same sequences with the same configuration but their name;
    `fitted` holds all that a blend is made of (`BLEND_PARTS`), and may hold others."""
    plan = _plan(sequences, points_of, config.model_copy(update={"model": config.model.model_copy(
        update={"name": "blend"})}))  # fmt: skip
    started = time.monotonic()
    network = Ensemble(plan.design.spec)
    parts = [fitted[name] for name in network.spec.parts]
    for position, member in enumerate(network.each()):
        assert isinstance(member, BlendMember)
        member.parts = nn.ModuleList([part.network.each()[position] for part in parts])
    network.usual_survival.copy_(plan.usual_survival)
    fit_blend_weights(network.each(), plan.members, plan.windows, plan.device)
    seconds = sum(part.seconds for part in parts) + time.monotonic() - started
    losses = tuple(loss for part in parts for loss in part.losses)
    late = any(part.reached_deadline for part in parts)
    return _finished(plan, network, points_of, config, losses, late, seconds)


def _plan(sequences: StaySequences, points_of: PointsOf, config: Config) -> _Plan:
    _require_stays(sequences, config.training.min_stays)
    pool = np.isin(sequences.stays["split"].to_numpy(), ["train", "validation"])
    sizes = sizes_for(int(pool.sum()), config)
    windows = window_count(sizes.members, config.training)
    window = assign_windows(sequences.stays, sizes.members, config.training)
    # What all members share comes from stays that no member stops on.
    core = sequences.select(pool & (window < 0))
    core_points = points_of(core)
    spec = fit_spec(core, core_points, config, sizes)
    arranged = arrange(core, spec)
    wanted = targets(core, core_points, spec)
    trained = sequences.select(pool & ((window != 0) | (windows > 1)))

    def own(window_of_member: int) -> MemberStays:
        held_out = window == window_of_member
        training, validation = sequences.select(pool & ~held_out), sequences.select(pool & held_out)
        return MemberStays(
            arrange(training, spec), points_of(training), arrange(validation, spec), points_of(validation)
        )

    stays = [own(position) for position in range(windows)]
    return _Plan(
        design=_Design(spec, sizes, fit_buffers(arranged)),
        members=[stays[position % windows] for position in range(spec.members)],
        windows=windows,
        calibration=split_of(sequences, "calibration"),
        usual_survival=torch.from_numpy(kaplan_meier(wanted.days, wanted.censored, np.array(spec.edges_days))),
        baseline_median_days=kaplan_meier_median(wanted.days, wanted.censored),
        baseline=fit_baseline(core.stays, config.scoring.group_column),
        training_stays=len(trained),
        censored_stays=int(trained.stays["is_open"].sum()),
        device=choose_device(config.training.device),
    )


def _require_stays(sequences: StaySequences, min_stays: int) -> None:
    known = sequences.stays["split"][~sequences.stays["is_open"].astype(bool)].value_counts()
    if known.get("train", 0) < min_stays:
        raise ModelUnavailable(
            f"{known.get('train', 0)} of {int(known.sum())} ended stays are in the training split, "
            f"training.min_stays = {min_stays}: wait for more nights, or lower it"
        )
    empty = [name for name in ("validation", "calibration") if known.get(name, 0) == 0]
    if empty:
        raise ModelUnavailable(f"no discharged stay fell into the split {', '.join(empty)}: wait for more nights")


def _fit_members(
    plan: _Plan, config: Config, on_epoch: Progress | None
) -> tuple[Ensemble, tuple[EpochLoss, ...], bool]:
    """Every member from its own seed, so that it is the same in whichever process it is fitted; the time allowed is
    shared out evenly. With several processes the epochs of a member are told when it is done."""
    network = Ensemble(plan.design.spec)
    network.usual_survival.copy_(plan.usual_survival)
    steps = int(plan.members[0].training.sequences.steps.sum())
    processes = processes_for(steps, plan.design.spec.members, plan.device, config)
    share_seconds = config.training.max_minutes * 60 * processes / plan.design.spec.members
    losses: list[EpochLoss] = []
    late = False
    if processes == 1:
        for position, own in enumerate(plan.members):
            network.members[position], history, cut_short = _fit_one(
                plan.design, own, config, plan.device, position, share_seconds, on_epoch
            )
            losses, late = losses + history, late or cut_short
    else:
        fits = (
            delayed(_fit_apart)(plan.design, own, config, position, share_seconds)
            for position, own in enumerate(plan.members)
        )
        done = Parallel(n_jobs=processes, return_as="generator", pre_dispatch=processes, mmap_mode="c")(fits)
        for member, (weights, history, cut_short) in zip(network.each(), done, strict=True):
            member.load_state_dict(safetensors.torch.load(weights))
            losses, late = losses + history, late or cut_short
            if on_epoch:
                for loss in history:
                    on_epoch(loss, plan.design.sizes)
    fit_blend_weights(network.each(), plan.members, plan.windows, plan.device)
    return network, tuple(losses), late


def _fit_one(
    design: _Design,
    own: MemberStays,
    config: Config,
    device: torch.device,
    position: int,
    share_seconds: float,
    on_epoch: Progress | None,
) -> tuple[Member, list[EpochLoss], bool]:
    with torch.random.fork_rng():
        torch.manual_seed(config.training.seed * 1000 + position)
        member = build_member(design.spec)
        for part in member.each_part():
            set_buffers(part.inputs, design.buffers)
        deadline = time.monotonic() + share_seconds
        history, late = fit_member(member, own, config, design.sizes, device, position, deadline, on_epoch)
    return member, history, late


def _fit_apart(
    design: _Design, own: MemberStays, config: Config, position: int, share_seconds: float
) -> tuple[bytes, list[EpochLoss], bool]:
    """One member in a process of its own, on one thread; its weights as safetensors."""
    with cpu_threads(1):
        member, history, late = _fit_one(
            design, own, config, torch.device("cpu"), position, share_seconds, None
        )
    return safetensors.torch.save(member.state_dict()), history, late


def _finished(
    plan: _Plan,
    network: Ensemble,
    points_of: PointsOf,
    config: Config,
    losses: tuple[EpochLoss, ...],
    late: bool,
    seconds: float,
) -> FittedModel:
    """Sharpen, calibrate, and judge each window's stays by the member that did not train on them."""
    stays, asked = arrange(plan.calibration, plan.design.spec), points_of(plan.calibration)
    if config.model.sharpness is None:
        sharpness = _fitted_sharpness(plan, network, stays, asked)
        network.spec = plan.design.spec.model_copy(update={"sharpness": sharpness})
    spec = network.spec
    predicted = predict(network, stays, asked, plan.device)
    out_of_fold = tuple(
        predicted_out_of_fold(network.only(position), plan.members[position])
        for position in range(plan.windows)
        if not plan.members[position].validation.sequences.stays["is_open"].all()
    )
    coverage = config.scoring.interval_coverage
    interval = calibrate(
        predicted, within_horizon(asked.remaining_days, spec), elapsed_days(plan.calibration, asked), asked.stay,
        coverage, widenings_of(out_of_fold, coverage), groups_at(asked, plan.calibration, spec),
        ~is_known(asked, plan.calibration, spec.horizon_days),
    )  # fmt: skip
    return FittedModel(
        spec=spec,
        sizes=plan.design.sizes,
        network=network.to("cpu"),
        interval=interval,
        baseline_median_days=plan.baseline_median_days,
        baseline=plan.baseline,
        training_stays=plan.training_stays,
        censored_stays=plan.censored_stays,
        out_of_fold=out_of_fold,
        losses=losses,
        reached_deadline=late,
        seconds=seconds,
    )


def _fitted_sharpness(plan: _Plan, network: Ensemble, stays: Stays, points: NightlyPoints) -> float:
    """From calibration stays, open ones included: the only ones that no member was trained on."""
    predicted = predict(network, stays, points, plan.device)
    if predicted.remaining is None:
        return 1.0
    wanted = targets(plan.calibration, points, plan.design.spec)
    return fit_sharpness(
        predicted.remaining, plan.usual_survival.numpy(), wanted.days, wanted.followup_days, points.stay,
        is_blend=bool(plan.design.spec.parts),
    )  # fmt: skip
