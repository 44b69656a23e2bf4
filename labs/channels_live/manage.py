"""`python -m labs.channels_live.manage runserver`; with LAB_RUNSERVER=daphne it is daphne's runserver, not Django's."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "labs.channels_live.settings"
    execute_from_command_line(sys.argv)
