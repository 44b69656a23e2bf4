"""The database behind the labs: found or started, its credentials, and what a trial did to it."""
