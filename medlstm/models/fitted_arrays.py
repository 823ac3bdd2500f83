"""A module that is nothing but arrays of a fit, whatever their shapes."""

from typing import Any

from torch import Tensor, nn


class FittedArrays(nn.Module):
    """Buffers that a fit sets, and a file brings with the shapes that they have there."""

    def set_arrays(self, arrays: dict[str, Tensor]) -> None:
        """Buffers of these shapes, whatever was there."""
        for name, array in arrays.items():
            self.register_buffer(name, array)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        own = dict(self.named_buffers())
        shapes = {name: state_dict[prefix + name].shape for name in own if prefix + name in state_dict}
        self.set_arrays({name: own[name].new_empty(shape) for name, shape in shapes.items()})
        super()._load_from_state_dict(state_dict, prefix, *rest)
