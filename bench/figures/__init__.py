"""What figures are made of, one module for each kind of run; `plots.py` draws what all runs share."""
