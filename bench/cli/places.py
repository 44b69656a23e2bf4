"""Where to look first: questions about the code, and the place that answers each."""

PLACES = (
    ("What does a command of `lab` do, and which options does it take?", "cli.arguments.COMMANDS"),
    ("How does a trial run, from start to verdict?", "measure.trial.run_trial"),
    ("Where is a verdict decided?", "analyse.gates.judge"),
    ("Where is the limit of throughput computed?", "analyse.queueing.limit_per_s"),
    ("Where are Locust and wrk started, and with which options?", "measure.load.launcher.commands"),
    ("What does Ctrl-C do?", "base.signals.interruptible"),
    ("Where is a run written and read?", "model.run_store.save_run"),
    ("Which servers are there, and what does one entry hold?", "model.servers.SERVERS"),
    ("What can stand in front of a server, such as nginx, and how is it configured?", "model.fronts.FRONTS"),
    ("What is an environment, and how is one made?", "measure.environment_maker.add"),
    ("Which workloads are there?", "model.workloads.WORKLOADS"),
    ("What may an experiment's file contain?", "model.experiment.Experiment"),
    ("How does a middleware get its hops?", "trace.inside.middleware.Layers"),
    ("How is a call found that blocks the event loop?", "trace.inside.blocking.Detector"),
    ("How is an exercise checked?", "learn.exercises.checks.CHECKS"),
    ("Which questions does `lab conformance` ask a server?", "claims.conformance.questions.QUESTIONS"),
    ("How does the room know where a request is?", "learn.room.places.places_of"),
    ("How does a claim of claims.toml become a finding?", "claims.judging.judge_claim"),
    ("What stands on the page of a claim?", "claims.claim_page.to_page"),
    ("How is a claim of an experiment's file judged (`lab verify`)?", "analyse.findings.finding_for"),
    ("How does a stack get its colour?", "show.figures.stack_style.look_of"),
    ("Which columns does a table have?", "show.tables.columns.COLUMNS"),
)
"""Question, and a name in bench: room, module, name."""
