"""What learners use: helpers of the lessons, the build of the notebooks, exercises and their checks, shows."""
