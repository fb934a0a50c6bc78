"""The addresses that bench.reads asks, by endpoint. An endpoint that is missing here ends the run and fails a test."""

# These read a limited number of rows, which is larger than the few and smaller than the many.
BOUNDED = {"/?q=": "up to 500 jobs whose ids begin so are sorted, else 1,000 are looked at"}

ADDRESSES = {
    "portal.jobs": ["/", "/?status=completed", "/?status=queued", "/?cursor={jobs}", "/?q=old-50", "/?q={job}"],
    "portal.job": ["/jobs/{job}", "/jobs/{open}"],
    "portal.compare": ["/jobs/{job}/compare"],
    "portal.report": ["/jobs/{job}/report.html"],
    "portal.export_csv": ["/jobs/{job}/compare.csv"],
    "portal.export_json": ["/jobs/{job}/compare.json"],
    "portal.export_analysis_json": ["/jobs/{job}/analysis.json"],
    "portal.export_analysis_csv": ["/jobs/{job}/analysis.csv"],
    "portal.label": ["/jobs/{job}/label"],
    "portal.execution": ["/executions/{execution}"],
    "portal.operations": ["/operations"],
    "portal.ended_units": ["/operations/units?at=2026-01-01T12:00Z&minutes=5"],
    "portal.ask_cancel": ["/jobs/{open}/cancel"],
    "portal.ask_retry": ["/jobs/{job}/retry"],
    "portal.ask_republish_job": ["/jobs/{open}/republish"],
    "portal.ask_republish": ["/operations/dead/{message}"],
    "portal.submit": ["/submit"],
    "api.jobs.list_jobs": ["/api/v1/jobs", "/api/v1/jobs?limit=200&status=completed", "/api/v1/jobs?cursor={jobs}"],
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
    "health.live",
    "metrics.metrics",
    "docs.page",
    "portal.login",
    "portal.login_link",
    "portal.styleguide",
    "portal.static",
    "api.docs.document",
}
WITHOUT_SQL |= {"api.catalogue.questions", "api.catalogue.models", "api.catalogue.regions", "api.methods.get_method"}
ABSENT = {"/jobs/{job}/analysis.csv"}  # 404, because no analyst has looked at these jobs; the statement is the same
