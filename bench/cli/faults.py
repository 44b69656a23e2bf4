"""The one list of faults that the lab survives: what happens, what the user reads, and a test that causes it.

`bench/README.md` is rendered from it, and a test checks that every test named here exists.
"""

from typing import NamedTuple


class Fault(NamedTuple):
    """A fault, its verdict and message, and a test by file and name."""

    happens: str
    reads: str
    test: str


FAULTS = (
    Fault(
        "the server dies in the window",
        "`invalid` with the exit status, the time and the number of answers; no throughput",
        "test_faults.py::test_a_server_that_is_killed_is_seen_within_a_second_and_leaves_no_number",
    ),
    Fault(
        "a worker of the server restarts",
        "`degraded` or `invalid` with the time, which is marked on the timeline",
        "test_faults.py::test_a_worker_that_is_killed_and_replaced_is_an_event_with_its_time",
    ),
    Fault(
        "the server does not boot",
        "`not-run` with the end of its log",
        "test_faults.py::test_a_server_that_cannot_import_its_application_is_known_at_once",
    ),
    Fault(
        "another program answers on the port",
        "`not-run`: the port is taken, with the pid of that program",
        "test_servers.py::test_a_stranger_who_came_between_is_told_by_the_nonce",
    ),
    Fault(
        "a load process is lost",
        "`invalid`: how many of how many were lost",
        "test_faults.py::test_a_load_process_that_is_killed_makes_the_trial_invalid",
    ),
    Fault(
        "a load worker never arrives",
        "`not-run`: how many of how many arrived",
        "test_distributed.py::test_a_worker_that_never_arrives_is_a_trial_that_was_not_run",
    ),
    Fault(
        "the client is saturated",
        "the point is hollow in figures and left out of findings; the message says what to change",
        "test_gates.py::test_a_number_with_a_reservation_is_degraded",
    ),
    Fault(
        "too few file descriptors",
        "`not-run` before the start, with the number needed; later `invalid`, counted by class",
        "test_faults.py::test_too_few_descriptors_are_told_of_what_was_asked_for",
    ),
    Fault(
        "the disk is full",
        "old results stay as they were; exit 1, and a sentence names what could not be saved",
        "test_faults_of_lab.py::test_a_full_disk_ends_the_run_in_one_sentence_and_keeps_what_is_there",
    ),
    Fault(
        "Ctrl-C, SIGTERM, SIGHUP",
        "`aborted` with what was measured so far, exit 130; a second one ends at once",
        "test_faults_of_lab.py::test_an_interrupted_run_keeps_what_was_measured_and_counts_of_the_rest",
    ),
    Fault(
        "the terminal is closed",
        "`aborted`; the report is written; exit 130",
        "test_console.py::test_a_terminal_that_is_closed_in_a_window_aborts_the_run_and_its_report_is_kept",
    ),
    Fault(
        "the output is not read, or it cannot be written or encoded",
        "the run continues; signs that cannot be encoded are replaced; output that could not be written is "
        "reported at the end",
        "test_console.py::test_a_run_goes_on_to_its_end_and_keeps_its_report",
    ),
    Fault(
        "`lab` is killed",
        "its processes end; the next start says how much of the run was saved",
        "test_faults_of_lab.py::test_when_lab_is_killed_its_processes_end_and_the_next_start_says_so",
    ),
    Fault(
        "a server of `lab room` is killed",
        "its lane is `dead` with the signal, and serves again two seconds later; what was in flight counts as cut off",
        "test_live_room.py::test_a_server_that_is_killed_is_dead_and_comes_back",
    ),
    Fault(
        "the process of `lab room` is killed",
        "the page says that the room does not answer, and goes on at the same address with the same settings",
        "test_live_room_page.py::test_the_page_waits_for_its_room_and_goes_on",
    ),
    Fault(
        "a folder of the user has a name like ours",
        "nothing: it stays, because we remove only folders with our marker that belong to this user and are not locked",
        "test_markers.py::test_a_folder_of_the_user_s_stays_whatever_its_name",
    ),
    Fault(
        "two runs write to one folder",
        "the second is refused, exit 2",
        "test_orphaned_runs.py::test_a_folder_that_another_process_writes_a_run_to_is_refused",
    ),
    Fault(
        "`latest` is something that the lab did not make",
        "the run ends normally and says that `latest` does not lead to it",
        "test_orphaned_runs.py::test_a_run_is_finished_and_reported_also_where_latest_is_not_ours",
    ),
    Fault(
        "run.json is truncated, edited, or newer",
        "refused in one sentence with the cause, exit 2",
        "test_run_json.py::test_a_damaged_run_is_refused_in_one_line_with_the_cause",
    ),
    Fault(
        "run.json contains values that cannot be true",
        "refused in one sentence with the place and the cause, exit 2; in a list the run is skipped and named",
        "test_soundness.py::test_what_cannot_be_is_refused_in_one_sentence_that_says_where",
    ),
    Fault(
        "a target answers before its wait is over, or faster than N/L",
        "`invalid`: no number",
        "test_too_early.py::test_an_answer_before_its_wait_leaves_no_number",
    ),
    Fault(
        "a target answers byte by byte, without end, or with a compression bomb",
        "`invalid` or `not-run` within the trial's deadline",
        "test_bounded_http.py::test_a_target_without_an_end_is_refused_by_the_probe",
    ),
    Fault(
        "an environment variable changes an interpreter, an allocator, an event loop or a server",
        "it is cleared for measured processes, or kept and named in run.json",
        "test_variables.py::test_server_load_and_upstream_do_not_see_what_would_slow_them",
    ),
    Fault(
        "the environment of a stack is not there, or lacks a package",
        "`not-run`, with the command that makes it or adds the package",
        "test_environments.py::test_a_stack_whose_package_is_lacking_is_not_run_with_the_command_that_helps",
    ),
    Fault(
        "`lab env add` is killed, interrupted, or finds no network",
        "nothing that counts as an environment; the next one of that name takes its place",
        "test_environments.py::test_what_a_killed_one_left_does_not_count_and_gives_way",
    ),
    Fault(
        "the wall clock steps by an hour",
        "an event; the numbers stay correct",
        "test_faults_of_lab.py::test_a_wall_clock_that_steps_by_an_hour_changes_no_number",
    ),
    Fault(
        "server or client pauses (SIGSTOP, a stolen core)",
        "the pauses are listed, those of the server apart from those of the client",
        "test_faults.py::test_a_pause_of_the_server_is_told_from_one_of_the_client",
    ),
    Fault(
        "the lab itself pauses",
        "an event; `degraded`, or `invalid` if it did not see half of the window",
        "test_faults_of_lab.py::"
        "test_a_lab_that_is_stopped_over_the_windows_end_says_so_and_does_not_call_a_busy_server_idle",
    ),
    Fault(
        "an overload that never drains",
        "requests in flight and time are bounded; latencies are printed as lower bounds",
        "test_faults.py::test_overload_that_never_drains_is_bounded_in_time_and_told",
    ),
    Fault(
        "a server or a load generator hangs",
        "every trial ends by its deadline",
        "test_faults.py::test_a_server_that_hangs_for_good_does_not_hold_the_trial",
    ),
    Fault(
        "a server gives wrong answers under load",
        "`invalid` with the share of bodies that differ",
        "test_faults.py::test_answers_that_go_wrong_under_load_are_counted_by_class_and_have_no_latency",
    ),
    Fault(
        "wrk's histogram does not hold what was counted",
        "`invalid`, and the engine to take instead",
        "test_wrk.py::test_a_histogram_that_is_not_that_of_the_right_answers_is_refused",
    ),
    Fault(
        "nginx, or whatever stands in front of the server, dies",
        "`invalid`: that it was the front, and its log",
        "test_fronting.py::test_a_front_that_dies_in_the_window_is_named",
    ),
    Fault(
        "nginx is not installed",
        "`not-run` for stacks that have it in front, with the command that installs it",
        "test_fronts.py::test_a_front_that_is_not_installed_is_told_with_the_command_that_installs_it",
    ),
    Fault(
        "a package is absent",
        "`not-run` with the command that installs it",
        "test_servers.py::test_a_missing_package_is_told_with_the_command_that_installs_it",
    ),
    Fault(
        "another program keeps the machine busy",
        "a warning before the start; `degraded` if it changes the numbers",
        "test_faults.py::test_another_busy_program_is_a_reservation",
    ),
    Fault(
        "a server or a run contains control characters",
        "they are escaped, as `\\u001b`",
        "test_printable.py::test_no_run_commands_the_terminal",
    ),
    Fault(
        "set-up is killed at any point",
        "the next one builds `.venv` again",
        "test_set_up.py::test_killed_at_any_point_the_next_set_up_makes_all_anew",
    ),
    Fault(
        "set-up fails",
        "which it was: network, disk, permission, hash or compiler",
        "test_set_up.py::test_a_failure_is_named_for_what_it_is",
    ),
    Fault(
        "a traced application hangs, exits, or leaves threads and processes behind",
        "its trace so far, or one sentence, within the time limit; nothing keeps running",
        "test_trace_doors.py::test_what_a_request_leaves_behind_does_not_hold_its_trace",
    ),
    Fault(
        "a traced request answers 300 or above, or raises",
        "the cause with its place in the project, and how to change the request; no advice on hops",
        "test_trace_project.py::test_an_odd_answer_has_its_cause_and_its_cure_and_no_advice",
    ),
    Fault(
        "other threads, garbage collection or a pause hold up a loop that is watched for blocking calls",
        "nothing: such time is not counted as blocking",
        "test_blocking.py::test_waiting_for_the_gil_is_no_finding",
    ),
    Fault(
        "a server ends or hangs while `lab conformance` asks it",
        "the answer to that question, and all the others, from a new server; `could not ask` if none boots, exit 3",
        "test_conformance.py::test_a_server_that_a_question_ends_is_started_again_for_the_next",
    ),
    Fault(
        "a tried project writes, logs, sends mail or stores files",
        "its own database, logs, caches and files stay as they are; a GET that writes is listed with its line",
        "test_your_project.py::test_nothing_of_the_project_has_changed",
    ),
    Fault(
        "a tried project connects to another machine",
        "the connection is refused and listed with the line that opened it",
        "test_your_project.py::test_a_connection_off_this_machine_is_refused_and_counted_with_its_line",
    ),
    Fault(
        "the settings of a tried project end the process",
        "one sentence with what they say",
        "test_your_project.py::test_settings_that_end_the_process_are_a_sentence",
    ),
    Fault(
        "a page of a tried project hangs behind one door",
        "that it did not end, and behind which door; the other pages are asked",
        "test_your_project.py::test_a_page_that_hangs_behind_asgi_is_said_and_the_next_one_is_asked",
    ),
    Fault(
        "Ctrl-C while a tried project is examined, in any step",
        "exit 130, what was found until then in a folder of `results/local`, and which steps were left",
        "test_showing_projects.py::test_ctrl_c_keeps_what_was_found_and_says_what_was_left_to_do",
    ),
    Fault(
        "Ctrl-C while a tried project is measured",
        "exit 130, and what was measured until then in a folder of `results/local`",
        "test_load_of_project.py::test_what_was_measured_before_ctrl_c_is_not_lost",
    ),
    Fault(
        "the `asgi.py` or `wsgi.py` of a tried project cannot be imported",
        "which one, why, and that it is to be mended first; Django's own application stands in",
        "test_your_project.py::test_an_application_that_cannot_be_imported_is_named_and_django_s_own_stands_in",
    ),
    Fault(
        "servers for a tried project cannot be installed",
        "`cannot tell` with the reason, exit 4; what was found before is kept",
        "test_load_of_project.py::test_servers_that_cannot_be_installed_are_the_answer_and_nothing_found_before_is_lost",
    ),
    Fault(
        "a tried project answers everything with a redirect, a throttle or an error",
        "`cannot tell` with the cause for each page, exit 4; nothing is measured",
        "test_known_answers.py::test_a_project_without_one_plain_answer_cannot_be_told",
    ),
)
