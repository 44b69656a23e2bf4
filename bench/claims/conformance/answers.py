"""What an answer is: one word, and one sentence with the facts."""

from typing import Literal, NamedTuple

Word = Literal["yes", "no", "does not apply", "could not ask"]


class Answer(NamedTuple):
    """The answer to a question, and what was seen: the same words each time that the same is seen."""

    answer: Word
    seen: str


def answer(holds: bool, seen: str) -> Answer:
    """Answer yes or no."""
    return Answer("yes" if holds else "no", seen)
