"""What figures are made of, one module for each kind of run; `catalogue.py` draws what all runs share."""
