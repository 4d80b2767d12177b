"""Computing parts of the trunk twice, so that what they give need not be kept for the gradient.

Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.
"""

from collections.abc import Callable
from typing import Any

from flax import nnx


def rematerialise(function: Callable[..., Any], part: str, policy: str) -> Callable[..., Any]:
    """Returns a function that keeps, for the gradient, no more of itself than the policy says.

    Args:
      function: of a module and arrays.
      part: what it is: one of the "blocks", or the "trunk".
      policy: one of `config.REMAT`. "" keeps everything; "products" the results of convolutions and
        matrix products; "blocks" what each unit or Inception block hands to the next; "trunk"
        nothing but what the pyramid reads. One that does not concern the part changes nothing.
    """
    if policy == part:
        return nnx.remat(function)
    if policy == "products" and part == "blocks":
        return nnx.remat(function, policy=_is_product)
    return function


def _is_product(primitive: Any, *_: Any, **__: Any) -> bool:
    return primitive.name in ("conv_general_dilated", "dot_general")
