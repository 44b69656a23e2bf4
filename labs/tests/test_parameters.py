import pytest

from labs.common.parameters import BOUNDS, DEFAULTS, BadParameter, whole_number


@pytest.mark.parametrize("name", BOUNDS)
def test_the_bounds_and_the_default_are_allowed(name: str) -> None:
    for number in (*BOUNDS[name], DEFAULTS[name]):
        assert whole_number(name, str(number)) == number


@pytest.mark.parametrize("text", ["", " 5", "5 ", "+5", "-0", "1_0", "1.0", "1e3", "٣", "²", "0x1", "000005", "5\n"])
def test_only_ascii_digits_are_a_number(text: str) -> None:
    with pytest.raises(BadParameter) as refusal:
        whole_number("ms", text)
    assert str(refusal.value) == f"ms must be a whole number from 0 to 10000, not '{text}'."


@pytest.mark.parametrize(("name", "text"), [("ms", "10001"), ("n", "0"), ("n", "101"), ("n", "9" * 5000)])
def test_a_number_out_of_bounds_is_refused(name: str, text: str) -> None:
    with pytest.raises(BadParameter, match="must be a whole number from"):
        whole_number(name, text)


def test_a_long_value_is_quoted_in_part() -> None:
    with pytest.raises(BadParameter) as refusal:
        whole_number("n", "x" * 10_000)
    assert str(refusal.value).endswith(f"not '{'x' * 40}...'.")
