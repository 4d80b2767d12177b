"""The block table: maxima of blocks of cells, so that pooling over long regions costs little."""

import jax
import jax.numpy as jnp

BLOCK_CELLS = 16  # rows of a level in one row of the next level
DIRECT = 32  # up to this many rows are read one by one
MAX_LEVELS = 2


def level_rows(length: int) -> list[int]:
    """Returns the number of rows of level 0, the cells, and of each level of the block table.

    There is a next level only if a region can hold more than DIRECT rows of the level below.
    """
    rows = [length]
    while rows[-1] > DIRECT and len(rows) <= MAX_LEVELS:
        rows.append(rows[-1] // BLOCK_CELLS)
    return rows


def positions_like(
    features: jax.Array | jax.ShapeDtypeStruct, count: int
) -> list[jax.ShapeDtypeStruct]:
    """Returns the shapes and dtypes of the positions of the outputs and of the block maxima.

    A position is the cell of features [B, T, C] that holds a maximum.

    Returns:
      [B, count, C] and, if there is a block table, [B, rows of the table, C]; int16 if it can
      number all cells, else int32.
    """
    clips, length, channels = features.shape
    dtype = jnp.int16 if length <= 1 << 15 else jnp.int32
    rows = [count, *filter(None, [sum(level_rows(length)[1:])])]
    return [jax.ShapeDtypeStruct((clips, n, channels), dtype) for n in rows]
