"""The lower bound of a program, counted by hand."""

import pytest

from tests.gpu_programs.hlo import Collective, Gpu, Program, floor_s

TEXT = """
HloModule jit_gradients, is_scheduled=true

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %sum = f32[] add(%a, %b)
}

%fused_slice (p.0: f32[8,100], p.1: s32[]) -> f32[100] {
  %p.0 = f32[8,100]{1,0} parameter(0)
  %p.1 = s32[] parameter(1)
  %row = f32[1,100]{1,0} dynamic-slice(%p.0, %p.1, %p.1), dynamic_slice_sizes={1,100}
  ROOT %flat = f32[100]{0} bitcast(%row)
}

%body (state: (s32[], f32[8,100])) -> (s32[], f32[8,100]) {
  %state = (s32[], f32[8,100]{1,0}) parameter(0)
  %step = s32[] get-tuple-element(%state), index=0
  %rows = f32[8,100]{1,0} get-tuple-element(%state), index=1
  %row = f32[100]{0} fusion(%rows, %step), kind=kLoop, calls=%fused_slice
  ROOT %next = (s32[], f32[8,100]{1,0}) tuple(%step, %rows)
}

ENTRY %main (x: bf16[2,4,6,6,8], kernel: bf16[16,3,3,3,8], rows: f32[8,100]) -> bf16[2,4,6,6,16] {
  %x = bf16[2,4,6,6,8]{4,3,2,1,0} parameter(0)
  %kernel = bf16[16,3,3,3,8]{4,3,2,1,0} parameter(1)
  %rows.1 = f32[8,100]{1,0} parameter(2)
  %zero = s32[] constant(0)
  %start = (s32[], f32[8,100]{1,0}) tuple(%zero, %rows.1)
  %loop = (s32[], f32[8,100]{1,0}) while(%start), condition=%c, body=%body, backend_config={"known_trip_count":{"n":"8"}}
  %conv = (bf16[2,4,6,6,16]{4,3,2,1,0}, u8[1000]{0}) custom-call(%x, %kernel), window={size=3x3x3 pad=1_1x1_1x1_1}, dim_labels=b012f_o012i->b012f, custom_call_target="__cudnn$convForward"
  ROOT %y = bf16[2,4,6,6,16]{4,3,2,1,0} get-tuple-element(%conv), index=0
}
"""  # noqa: E501


def test_kernels_bytes_and_flop_are_counted_by_hand():
    kernels = Program(TEXT).kernels()
    slices, convolution = kernels
    assert (slices.runs, slices.nbytes, slices.flops) == (8, 400 + 4 + 400, 0)
    outputs, weights = 2 * 4 * 6 * 6, 16 * 27 * 8
    assert convolution.flops == 2 * outputs * weights
    assert convolution.nbytes == 2 * (outputs * 8 + weights + outputs * 16)


@pytest.mark.parametrize(("flops", "bound"), [(1e9, "computing"), (1e15, "moving")])
def test_the_floor_takes_the_longer_of_computing_and_moving(flops, bound):
    slices, convolution = Program(TEXT).kernels()
    gpu = Gpu({"bf16": flops}, bandwidth=1e9)
    work = convolution.flops / flops if bound == "computing" else convolution.nbytes / 1e9
    assert floor_s([slices, convolution], gpu) == pytest.approx(8 * slices.nbytes / 1e9 + work)


EXCHANGES = """
HloModule jit_step, is_scheduled=true

ENTRY %main (a: bf16[8,32], b: f32[4]) -> (bf16[8,32], f32[32]) {
  %a = bf16[8,32]{1,0} parameter(0)
  %b = f32[4]{0} parameter(1)
  %all-gather-start = (f32[4]{0}, f32[32]{0}) all-gather-start(%b), dimensions={0}
  %all-reduce-start = bf16[8,32]{1,0} all-reduce-start(%a), to_apply=%add
  %all-gather-done = f32[32]{0} all-gather-done(%all-gather-start)
  %conv = (bf16[2]{0}, u8[0]{0}) custom-call(%b), custom_call_target="__cudnn$convBackwardFilter"
  %all-reduce-done = bf16[8,32]{1,0} all-reduce-done(%all-reduce-start)
  ROOT %both = (bf16[8,32]{1,0}, f32[32]{0}) tuple(%all-reduce-done, %all-gather-done)
}
"""


def test_exchanges_are_counted_by_hand():
    assert Program(EXCHANGES).collectives() == [
        Collective("all-gather", 1, 32 * 4, frozenset({"f32"}), 0),
        Collective("all-reduce", 1, 8 * 32 * 2, frozenset({"bf16"}), 1),
    ]
