"""The block table: so that long regions cost little, blocks of cells have their maxima at hand."""

import jax
import jax.numpy as jnp

BLOCK_CELLS = 16  # rows of a level under one row of the next
DIRECT = 32  # up to so many rows are read one by one
MAX_LEVELS = 2


def level_rows(length: int) -> list[int]:
    """Returns the rows of level 0, which are the cells, and of each level of the block table.

    There is a next level only where a region may hold more than DIRECT rows of the one below.
    """
    rows = [length]
    while rows[-1] > DIRECT and len(rows) <= MAX_LEVELS:
        rows.append(rows[-1] // BLOCK_CELLS)
    return rows


def positions_like(
    features: jax.Array | jax.ShapeDtypeStruct, count: int
) -> list[jax.ShapeDtypeStruct]:
    """Returns the forms of the positions of the outputs and, where there are any, block maxima.

    A position is the cell of features [B, T, C] that a maximum is from.

    Returns:
      [B, count, C] and, if there is a block table, [B, rows of it, C]; int16 if that can number the
      cells, else int32.
    """
    clips, length, channels = features.shape
    dtype = jnp.int16 if length <= 1 << 15 else jnp.int32
    rows = [count, *filter(None, [sum(level_rows(length)[1:])])]
    return [jax.ShapeDtypeStruct((clips, n, channels), dtype) for n in rows]
