"""What learners use: the lessons' helpers, the notebooks' build, exercises and their checks, the decision."""
