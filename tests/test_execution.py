"""One compile a shape, told apart from the run."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from jaxface.execution import Clock, num_compiled, run_timed


@pytest.fixture
def affine():
    """A function of its own for each test, with a count of how often it was traced."""
    traces = []

    def affine(x, parameters, *, power=1):
        traces.append(x.shape)
        return parameters["slope"] * x**power + parameters["offset"]

    affine.traces = traces
    return affine


def parameters(slope=2.0, offset=1.0):
    return {"slope": jnp.float32(slope), "offset": jnp.float32(offset)}


def test_new_values_compile_nothing(affine):
    before = num_compiled()
    first = run_timed(affine, jnp.arange(3.0), parameters())
    second = run_timed(affine, jnp.arange(3.0) + 5.0, parameters(slope=-1.0))
    np.testing.assert_allclose(first.value, [1.0, 3.0, 5.0])
    np.testing.assert_allclose(second.value, [-4.0, -5.0, -6.0])
    assert num_compiled() == before + 1 and affine.traces == [(3,)]
    assert first.compile_seconds > second.compile_seconds and min(first.seconds, second.seconds) > 0.0


def test_host_arrays_run_the_same_program(affine):
    run_timed(affine, jnp.arange(3.0), parameters())
    result = run_timed(affine, np.arange(3, dtype=np.float32), {"slope": np.float32(3.0), "offset": np.float32(0.0)})
    np.testing.assert_allclose(result.value, [0.0, 3.0, 6.0])
    assert len(affine.traces) == 1


def test_new_shapes_types_structures_and_settings_compile(affine):
    before = num_compiled()
    run_timed(affine, jnp.arange(3.0), parameters())
    run_timed(affine, jnp.arange(4.0), parameters())
    run_timed(affine, jnp.arange(3), parameters())
    run_timed(affine, jnp.arange(3.0), parameters() | {"unused": jnp.zeros(())})
    assert num_compiled() == before + 4
    squared = run_timed(affine, jnp.arange(3.0), parameters(), power=2)
    np.testing.assert_allclose(squared.value, [1.0, 3.0, 9.0])
    assert num_compiled() == before + 5
    run_timed(affine, jnp.arange(3.0), parameters(), power=2)
    assert num_compiled() == before + 5 == before + len(affine.traces)


def test_two_functions_of_one_shape_do_not_share_a_program():
    double, triple = (functools.partial(jnp.multiply, factor) for factor in (2.0, 3.0))
    assert run_timed(double, jnp.float32(5.0)).value == 10.0
    assert run_timed(triple, jnp.float32(5.0)).value == 15.0


def test_a_clock_tells_compiling_from_work(affine):
    first, second = Clock(), Clock()
    np.testing.assert_array_equal(first.run(affine, jnp.arange(3.0), parameters()), [1.0, 3.0, 5.0])
    told = first.seconds()
    assert told["compile_seconds"] > 1e-3 and told["seconds"] > 0.0
    second.run(affine, jnp.arange(3.0), parameters(), power=1)
    second.run(affine, jnp.arange(3.0), parameters(), power=1)
    assert second.seconds()["compile_seconds"] > 0.0 and len(affine.traces) == 2
