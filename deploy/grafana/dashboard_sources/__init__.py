"""The sources of the Grafana dashboards: one module a dashboard, and the few that give all of them one look."""
