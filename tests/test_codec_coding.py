"""Range coding by tables of integers: exact, as short as the rate allows, bounded."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.codec import coding, tables


@st.composite
def symbols_and_tables(draw):
    channels, largest = draw(st.integers(1, 4)), draw(st.sampled_from([1, 2, 127]))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    concentration = draw(st.sampled_from([0.001, 0.1, 1.0]))
    shares = generator.dirichlet(np.full(2 * largest + 2, concentration), channels)
    integers = st.integers(-largest - 1, largest + 1) | st.integers(-(2**31), 2**31 - 1)
    row = st.tuples(*[integers] * channels)
    symbols = draw(st.lists(row, max_size=20))
    return np.array(symbols, "int32").reshape(-1, channels), tables.frequencies(shares)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(symbols_and_tables())
def test_coding_is_exact_and_as_short_as_the_rate_allows(drawn):
    symbols, frequencies = drawn
    payload = coding.encode(symbols, frequencies)
    np.testing.assert_array_equal(coding.decode(payload, frequencies, len(symbols)), symbols)
    least = len(symbols) * tables.least_bits(frequencies)
    assert len(payload) <= max(tables.bits(symbols, frequencies).sum() / 8 + 1.01, least // 8)
    assert len(payload) >= least // 8


def test_the_coder_works_with_the_tables_own_frequencies():
    """So that what is decoded depends on integers alone: each symbol's interval is the table's."""
    generator = np.random.default_rng(0)
    table = tables.frequencies(generator.dirichlet(np.full(256, 0.05), 1))[0]
    starts = np.cumsum(table) - table
    coder = coding.require_constriction().stream.queue.RangeEncoder
    for symbol in range(255):  # the last one takes what rounding leaves
        encoder = coder()
        encoder.encode(np.array([symbol], "int32"), coding._model(table))
        position, (low, width) = encoder.pos()
        unit = 2**40 - 1  # of the coder's 2**64 - 1
        if position:  # a word has gone out, where the interval is narrow
            assert width == int(table[symbol]) * unit << 32
        else:
            assert (low, width) == (int(starts[symbol]) * unit, int(table[symbol]) * unit)


def test_frequencies_are_nearest_to_the_probabilities():
    generator = np.random.default_rng(0)
    shares = generator.dirichlet(np.full(256, 0.1), 100)
    frequencies = tables.frequencies(shares)
    tables.check_tables(frequencies)
    assert np.abs(frequencies - shares * tables.TOTAL).max() <= 256
    with pytest.raises(ValueError, match="not finite"):
        tables.frequencies(np.full((2, 4), np.nan))


def test_a_collapsed_model_cannot_make_a_bomb():
    """Where an image takes no bits, it takes one, so that few bytes never hold many images."""
    certain = tables.frequencies(np.eye(1, 256).repeat(4, axis=0))
    count, symbols = 1000, np.full((1000, 4), -127, "int32")
    assert tables.bits(symbols, certain).sum() < 1
    payload = coding.encode(symbols, certain)
    assert len(payload) == count // 8
    np.testing.assert_array_equal(coding.decode(payload, certain, count), symbols)
    with pytest.raises(ValueError, match="125 bytes cannot hold 1008 images"):
        coding.decode(payload, certain, 1008)
