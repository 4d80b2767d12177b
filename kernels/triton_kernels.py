"""The Triton kernels of boundary max pooling: block maxima, pooling, and its gradient.

Importing this module loads Triton; `implementations` says when that is safe. A program is one warp
that works on a block of neighbouring channels, so every row is read coalesced. Regions, loops and
branches are scalars of the program: no lane waits for a longer region.

A region of more than DIRECT cells is not read cell by cell. The block table holds the maxima of
blocks of 16 cells (level 1) and of 256 cells (level 2). A long region is read from the outside
inwards. The head and the tail that do not fill a block are read as cells, then the parts that do
not fill a level-2 block are read as level-1 rows. The middle is read on the coarsest level needed.
The first of equal maxima wins; NaN is larger than every number.

Arrays, row-major: features [B, T, C], regions [B, N, 4] int32, longest [B] int32 (cells in the
clip's longest region), block maxima and their positions [B, T // 16 + T // 256, C], output and its
positions [B, N, C]. A position is a cell of the features, int16 or int32.
"""

import triton
import triton.language as tl

from afsd_jax.kernels import block_table

BLOCK_CELLS = tl.constexpr(block_table.BLOCK_CELLS)
DIRECT = tl.constexpr(block_table.DIRECT)
UNROLL = tl.constexpr(4)  # rows that are loaded at a time
TILE = tl.constexpr(8)  # rows whose gradient one program sums; divides BLOCK_CELLS
CHUNK = tl.constexpr(32)  # regions that are searched at a time


@triton.jit
def block_maxima(
    features,
    longest,
    length,
    maxima,
    positions,
    CHANNELS: tl.constexpr,
    BLOCK: tl.constexpr,
    LEVELS: tl.constexpr,
    TRACK: tl.constexpr,
):
    """Fills one row of the block table, if the clip has a region that reads it."""
    table_rows = _table_offset(length, LEVELS + 1)
    _, channels, mask, index = _channels(tl.program_id(0), CHANNELS, BLOCK)
    clip = (index // table_rows).to(tl.int64)
    row = index % table_rows
    if tl.load(longest + clip) > DIRECT:
        fine_rows = length // BLOCK_CELLS
        is_fine = row < fine_rows
        size = tl.where(is_fine, BLOCK_CELLS, BLOCK_CELLS * BLOCK_CELLS)
        first = tl.where(is_fine, row, row - fine_rows) * size
        best = tl.full([BLOCK], float("-inf"), tl.float32)
        position = tl.zeros([BLOCK], tl.int32) + first
        best, position = _scan(
            best, position, features, features, features, clip, length, channels, mask,
            first, first + size - 1, CHANNELS, LEVELS, 0, TRACK,
        )  # fmt: skip
        target = (clip * table_rows + row) * CHANNELS + channels
        tl.store(maxima + target, best.to(maxima.dtype.element_ty), mask=mask)
        if TRACK:
            tl.store(positions + target, position.to(positions.dtype.element_ty), mask=mask)


@triton.jit
def pool_regions(
    features,
    regions,
    maxima,
    block_positions,
    length,
    count,
    output,
    positions,
    CHANNELS: tl.constexpr,
    BLOCK: tl.constexpr,
    LEVELS: tl.constexpr,
    TRACK: tl.constexpr,
    SEGMENTS: tl.constexpr,
):
    """Pools the channels of a block over SEGMENTS consecutive regions of a clip."""
    programs = tl.cdiv(count, SEGMENTS)
    half, channels, mask, index = _channels(tl.program_id(0), CHANNELS, BLOCK)
    clip = (index // programs).to(tl.int64)
    n = (index % programs) * SEGMENTS
    stop = tl.minimum(n + SEGMENTS, count)
    while n < stop:
        bounds = regions + (clip * count + n) * 4 + 2 * half
        first = tl.load(bounds)
        last = tl.load(bounds + 1)
        best = tl.full([BLOCK], float("-inf"), tl.float32)
        position = tl.zeros([BLOCK], tl.int32) + first
        # Going up the levels and down again reads the rows in the order of their cells.
        for level in tl.static_range(LEVELS + 1):
            begin, end = _head(first, last, level, LEVELS)
            best, position = _scan(
                best, position, features, maxima, block_positions, clip, length, channels, mask,
                begin, end, CHANNELS, LEVELS, level, TRACK,
            )  # fmt: skip
        for i in tl.static_range(LEVELS):
            begin, end = _tail(first, last, LEVELS - 1 - i, LEVELS)
            best, position = _scan(
                best, position, features, maxima, block_positions, clip, length, channels, mask,
                begin, end, CHANNELS, LEVELS, LEVELS - 1 - i, TRACK,
            )  # fmt: skip
        target = (clip * count + n) * CHANNELS + channels
        tl.store(output + target, best.to(output.dtype.element_ty), mask=mask)
        if TRACK:
            tl.store(positions + target, position.to(positions.dtype.element_ty), mask=mask)
        n += 1


@triton.jit
def sum_gradients(
    gradient,
    positions,
    regions,
    longest,
    block_gradient,
    block_positions,
    length,
    count,
    output,
    CHANNELS: tl.constexpr,
    BLOCK: tl.constexpr,
    LEVELS: tl.constexpr,
    LEVEL: tl.constexpr,
):
    """Sums the gradient of TILE rows of a level over the regions that read them, in their order.

    If a region read its maximum on a coarser level, the gradient is in `block_gradient`, the result
    for the level above. The one block over the tile passes it on to the row with its maximum.
    """
    SIZE: tl.constexpr = BLOCK_CELLS**LEVEL
    level_rows = length // SIZE
    tiles = tl.cdiv(level_rows, TILE)
    half, channels, mask, index = _channels(tl.program_id(0), CHANNELS, BLOCK)
    clip = (index // tiles).to(tl.int64)
    begin = (index % tiles) * TILE
    rows = begin + tl.arange(0, TILE)
    # Rows are loaded as [1, BLOCK], so that the sums need no conversion of layouts.
    channels = channels[None, :]
    mask = mask[None, :]
    is_long = tl.load(longest + clip) > DIRECT
    if (LEVEL == 0) | is_long:
        total = tl.zeros([TILE, BLOCK], tl.float32)
        if LEVEL < LEVELS:
            above = begin // BLOCK_CELLS
            above_rows = level_rows // BLOCK_CELLS
            if is_long & (above < above_rows):
                source = (clip * above_rows + above) * CHANNELS + channels
                table_row = (
                    clip * _table_offset(length, LEVELS + 1)
                    + _table_offset(length, LEVEL + 1)
                    + above
                )
                total = _add_to_winners(
                    total,
                    block_gradient + source,
                    block_positions + table_row * CHANNELS + channels,
                    mask,
                    rows,
                    SIZE,
                )
        bounds = regions + clip * count * 4 + 2 * half
        chunk = 0
        while chunk < count:
            n = chunk + tl.arange(0, CHUNK)
            first = tl.load(bounds + n * 4, mask=n < count, other=0)
            last = tl.load(bounds + n * 4 + 1, mask=n < count, other=0)
            head_begin, head_end = _head(first, last, LEVEL, LEVELS)
            tail_begin, tail_end = _tail(first, last, LEVEL, LEVELS)
            touches = _overlap(head_begin, head_end, begin) | _overlap(tail_begin, tail_end, begin)
            waiting = tl.where(touches & (n < count), n, count)
            now = tl.min(waiting, axis=0)
            while now < count:
                read = rows
                if LEVEL > 0:  # a maximum in the tile may have been read on a finer level
                    start = tl.load(bounds + now * 4)
                    low, high = _rows(start, tl.load(bounds + now * 4 + 1), LEVEL)
                    read = tl.where((rows >= low) & (rows <= high), rows, -1)
                source = (clip * count + now) * CHANNELS + channels
                total = _add_to_winners(
                    total, gradient + source, positions + source, mask, read, SIZE
                )
                waiting = tl.where(waiting > now, waiting, count)
                now = tl.min(waiting, axis=0)
            chunk += CHUNK
        target = (clip * level_rows + rows[:, None]) * CHANNELS + channels
        written = (rows < level_rows)[:, None] & mask
        tl.store(output + target, total.to(output.dtype.element_ty), mask=written)


@triton.jit
def _scan(
    best,
    position,
    features,
    maxima,
    block_positions,
    clip,
    length,
    channels,
    mask,
    begin,
    end,
    CHANNELS: tl.constexpr,
    LEVELS: tl.constexpr,
    LEVEL: tl.constexpr,
    TRACK: tl.constexpr,
):
    """Includes the rows begin..end of a level in the running maxima and their positions."""
    if LEVEL == 0:
        source = clip * length * CHANNELS + channels
        rows = features + source
    else:
        table_row = clip * _table_offset(length, LEVELS + 1) + _table_offset(length, LEVEL)
        source = table_row * CHANNELS + channels
        rows = maxima + source
    row = begin
    while row <= end:
        for i in tl.static_range(UNROLL):
            cell = tl.minimum(row + i, end)  # reading the last row again changes nothing
            offset = cell.to(tl.int64) * CHANNELS
            value = tl.load(rows + offset, mask=mask).to(tl.float32)
            if TRACK:
                if LEVEL > 0:
                    cell = tl.load(block_positions + source + offset, mask=mask).to(tl.int32)
                wins = (value > best) | ((value != value) & (best == best))
                best = tl.where(wins, value, best)
                position = tl.where(wins, cell, position)
            else:
                best = tl.maximum(best, value, propagate_nan=tl.PropagateNan.ALL)
        row += UNROLL
    return best, position


@triton.jit
def _add_to_winners(total, gradient, positions, mask, rows, SIZE: tl.constexpr):
    """Adds a row [1, BLOCK] of gradients to the rows of `total` that hold the positions."""
    value = tl.load(gradient, mask=mask, other=0).to(tl.float32)
    winner = tl.load(positions, mask=mask, other=0).to(tl.int32) // SIZE
    return tl.where(winner == rows[:, None], total + value, total)


@triton.jit
def _channels(program, CHANNELS: tl.constexpr, BLOCK: tl.constexpr):
    """Returns a program's half (0 start, 1 end), channels, their mask, and the rest of its index.

    Programs of neighbouring channels are neighbours, so they read the same rows at the same time.
    """
    HALF: tl.constexpr = CHANNELS // 2
    BLOCKS: tl.constexpr = (CHANNELS - HALF + BLOCK - 1) // BLOCK
    half = program // BLOCKS % 2
    channels = half * HALF + program % BLOCKS * BLOCK + tl.arange(0, BLOCK)
    # If the compiler sees that the mask is true, a lane reads 16 bytes at a time.
    if CHANNELS % (2 * BLOCK) == 0:
        mask = tl.full([BLOCK], True, tl.int1)
    else:
        mask = channels < HALF + half * (CHANNELS - HALF)
    return half, channels, mask, program // (2 * BLOCKS)


@triton.jit
def _table_offset(length, LEVEL: tl.constexpr):
    """Returns the number of block table rows before those of a level, which is 1 or more."""
    offset = length * 0
    for level in tl.static_range(1, LEVEL):
        offset += length // BLOCK_CELLS**level
    return offset


@triton.jit
def _rows(first, last, LEVEL: tl.constexpr):
    """Returns the first and last row of a level that lie completely in a region of cells."""
    SIZE: tl.constexpr = BLOCK_CELLS**LEVEL
    return (first + SIZE - 1) // SIZE, (last + 1) // SIZE - 1


@triton.jit
def _top_level(first, last, LEVELS: tl.constexpr):
    """Returns the first level on which the rest of a region is short enough to read."""
    top = first * 0 + LEVELS
    for i in tl.static_range(LEVELS):
        begin, end = _rows(first, last, LEVELS - 1 - i)
        top = tl.where(end - begin < DIRECT, LEVELS - 1 - i, top)
    return top


@triton.jit
def _head(first, last, LEVEL: tl.constexpr, LEVELS: tl.constexpr):
    """Returns the rows of a level to read going up: on the region's top level, all remaining."""
    begin, end = _rows(first, last, LEVEL)
    above, _ = _rows(first, last, LEVEL + 1)
    top = _top_level(first, last, LEVELS)
    part = tl.where(top > LEVEL, above * BLOCK_CELLS - 1, begin - 1)
    return begin, tl.where(top == LEVEL, end, part)


@triton.jit
def _tail(first, last, LEVEL: tl.constexpr, LEVELS: tl.constexpr):
    """Returns the rows of a level to read going down: none from the region's top level on."""
    _, end = _rows(first, last, LEVEL)
    _, above = _rows(first, last, LEVEL + 1)
    top = _top_level(first, last, LEVELS)
    return tl.where(top > LEVEL, (above + 1) * BLOCK_CELLS, end + 1), end


@triton.jit
def _overlap(begin, end, tile):
    return tl.maximum(begin, tile) <= tl.minimum(end, tile + TILE - 1)
