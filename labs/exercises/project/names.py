"""The one list of the exercises: each is a module of labs/exercises and, solved, of labs/solutions."""

EXERCISES = (
    "blocking_view",
    "middleware_hops",
    "overlapping_calls",
    "bounded_connections",
    "plateau",
    "stream",
    "traps",
)
