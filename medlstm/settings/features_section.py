"""Which static features and variables models take."""

from typing import Literal

from medlstm.settings.source import Section


class FeaturesSection(Section):
    """Static features of a stay; `variables` empty means every variable that training stays have.

    `known_from`: features that are written down at the discharge only, such as `{ disease = "discharge" }`. Of a stay
    that was known as ended from the first, what it says is not used: what a night knew of it then is not told.
    `leak_action`: what a training does with an input that shows signs of being written down at the discharge (see
    `medlstm.training.leak_finder`): it says so, leaves the input out, or ends without a model.
    """

    numeric: list[str] = []
    categorical: list[str] = []
    variables: list[str] = []
    known_from: dict[str, Literal["discharge"]] = {}
    leak_action: Literal["warn", "drop", "stop"] = "warn"

    def require_names(self, group_column: str | None) -> None:
        """Raises ValueError for a feature that is listed twice, and a name that is none of the features."""
        features = [*self.numeric, *self.categorical]
        twice = sorted({name for name in features if features.count(name) > 1})
        if twice:
            raise ValueError(f"features: {', '.join(twice)} is listed twice; a feature is a number or a category")
        named = [(f"features.known_from has {name!r}, which", name) for name in self.known_from]
        if group_column is not None:
            named.append((f"scoring.group_column = {group_column!r}", group_column))
        for told, name in named:
            if name not in features:
                listed = ", ".join(features) or "none"
                raise ValueError(
                    f"{told} names no feature (features.numeric and features.categorical have: {listed}); list it "
                    "there, or leave it out"
                )
