"""The addresses that bench.reads asks, by endpoint. An endpoint that is missing here ends the run and fails a test."""

# These read a limited number of rows, which is larger than the few and smaller than the many.
BOUNDED = {
    "/?q=": "500 jobs with an id or a name that begins so",
    "/?model=": "1,000 jobs are looked at",
    "/?region=": "1,000 jobs are looked at",
    "/operations": "6,000 units of the hours that are shown",
}

ADDRESSES = {
    "portal.jobs": [
        *("/", "/?status=completed", "/?status=queued", "/?status=partial", "/?cursor={jobs}", "/?q={job}"),
        *("/?q=old-50", "/?q=capital", "/?q=capital%207", "/?q=nothing-begins-so", "/?failures=1"),
        *("/?model=m1", "/?model=m2", "/?region=US", "/?region=EU", "/?submitter=team-7", "/?since=24h"),
    ],
    "portal.job": ["/jobs/{job}", "/jobs/{open}"],
    "portal.report": ["/jobs/{job}/report.html"],
    "portal.compare": ["/jobs/{job}/compare"],
    "portal.export_csv": ["/jobs/{job}/compare.csv"],
    "portal.export_json": ["/jobs/{job}/compare.json"],
    "portal.export_analysis_json": ["/jobs/{job}/analysis.json"],
    "portal.export_analysis_csv": ["/jobs/{job}/analysis.csv"],
    "portal.label": ["/jobs/{job}/label"],
    "portal.execution": ["/executions/{execution}"],
    "portal.operations": ["/operations", "/operations?last=24h&by=provider"],
    "portal.ended_units": ["/operations/units?at={ended}&minutes=1"],
    "portal.ask_cancel": ["/jobs/{open}/cancel"],
    "portal.ask_retry": ["/jobs/{job}/retry"],
    "portal.ask_republish_job": ["/jobs/{open}/republish"],
    "portal.ask_republish": ["/operations/dead/{message}"],
    "portal.submit": ["/submit", "/submit?again={job}"],
    "api.jobs.list_jobs": [
        *("/api/v1/jobs", "/api/v1/jobs?limit=200&status=completed", "/api/v1/jobs?cursor={jobs}"),
        "/api/v1/jobs?status=partial&model=m1",
    ],
    "api.jobs.get_job": ["/api/v1/jobs/{job}", "/api/v1/jobs/{open}", "/api/v1/jobs/{job}?include=executions"],
    "api.jobs.get_rows": ["/api/v1/jobs/{job}/executions/all"],
    "api.jobs.get_events": ["/api/v1/jobs/{job}/events"],
    "api.analysis.get_analysis": ["/api/v1/jobs/{job}/analysis"],
    "api.labels.list_labels": ["/api/v1/jobs/{job}/labels"],
    "api.executions.list_executions": [
        *("/api/v1/executions", "/api/v1/executions?cursor={executions}", "/api/v1/executions?offset=9000"),
    ],
    "api.executions.get_details": ["/api/v1/executions/{execution}/details"],
    "api.executions.get_receipt": ["/api/v1/executions/{execution}/receipt"],
    "api.executions.get_cross_region": [
        "/api/v1/executions/{job}/cross-region",
        "/api/v1/executions/{uuid}/cross-region",
    ],
    "admin.outbox": ["/admin/outbox"],
    "admin.queues": ["/admin/queues"],
    "admin.stuck": ["/admin/stuck"],
    "admin.processes": ["/admin/processes"],
    "admin.dead": ["/admin/dead"],
    "health.health": ["/health"],
    "health.ready": ["/health/ready"],
}
WITHOUT_SQL = {
    "portal.recompute_script",
    "portal.login_link",
    "portal.styleguide",
    "health.live",
    "metrics.metrics",
    "docs.page",
    "portal.login",
    "portal.static",
    "api.docs.document",
}
WITHOUT_SQL |= {"api.catalogue.questions", "api.catalogue.models", "api.catalogue.regions", "api.methods.get_method"}
ABSENT = {"/jobs/{job}/analysis.csv"}  # 404, because no analyst has looked at these jobs; the statement is the same
