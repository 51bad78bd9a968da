"""Security and audit: which tools agents reach for, who hands over to whom, what is kept, who decided what."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from dashboard_sources.columns import AGENT_URL, EVENT, RISK, WHEN, barred, linked, measured, wide
from dashboard_sources.frame import Section, assembled, mended
from dashboard_sources.palette import BAD, WARN, prop, thresholds
from dashboard_sources.panels import Panel, bars, figure, rows
from dashboard_sources.queries import APPROVALS, FAILED, HEALING, STEPS, metric, picked, series, table

FIRST_SEEN = f"""(
    SELECT Tool, Agent, min(Start) AS First FROM agent_steps AS s FINAL
    WHERE NOT Retracted AND Tool != '' AND {picked("Tenant", "Service", "Agent")} GROUP BY Tool, Agent
)"""
DECIDED = "Event IN ('approved', 'rejected', 'expired')"


def security() -> dashboard.Dashboard:
    """Build the dashboard."""
    return assembled(
        "security",
        "Security and audit",
        "Which tools agents reach for and since when, who hands over to whom, what content is kept, who decided what.",
        [
            Section("In the time shown", _figures()),
            Section("What agents reach for", [_new_tools(), _tools()]),
            Section("Who comes in, and what is kept", [_senders(), _refused(), _content()]),
            Section("Audit", [_handovers(), _audit(), _dead_letters()]),
        ],
        marks=[mended()],
    )


def _figures() -> list[Panel]:
    return [
        figure(
            "Tools in use",
            "Different tools that agents called.",
            table(f"SELECT uniqExactIf(Tool, Tool != '') AS Tools FROM {STEPS}"),
        ),
        figure(
            "New tools",
            "Agents that called a tool for the first time, since the store's beginning.",
            table(f"SELECT countIf(First >= $__fromTime) AS New FROM {FIRST_SEEN}"),
            marks=thresholds((1, WARN)),
        ),
        figure(
            "Users",
            "Different users that the agents' spans name.",
            table(f"SELECT uniqExactIf(s.User, s.User != '') AS Users FROM {STEPS}"),
        ),
        figure(
            "Decisions by people",
            "Fixes that somebody approved or rejected.",
            table(f"SELECT uniqExactIf(Id, Who != '') AS Decisions FROM {APPROVALS} AND {DECIDED}"),
        ),
        figure(
            "Requests refused",
            "Requests that the doors refused in the last hour: no key, a wrong one, or no OTLP.",
            metric("sum(increase(tracemend_receiver_refused_requests[1h]))", "refused", now=True),
            marks=thresholds((1, WARN), (100, BAD)),
        ),
        figure(
            "Records that could not be read",
            "Dead letters in the time shown: damaged, or made to be.",
            table("SELECT count() AS Records FROM dead_letters FINAL WHERE $__timeFilter(At)"),
            marks=thresholds((1, WARN)),
        ),
    ]


def _new_tools() -> Panel:
    sql = f"""
        SELECT First AS "First seen", Agent, Tool FROM {FIRST_SEEN} WHERE First >= $__fromTime AND First <= $__toTime
        ORDER BY First DESC LIMIT 200
    """
    columns = {"First seen": WHEN, "Agent": wide(180)}
    about = "A tool an agent never called before: a new version, or an agent that was talked into something."
    return rows("First calls of a tool", about, table(sql), columns, 10)


def _tools() -> Panel:
    sql = f"""
        SELECT Tool, Service, Agent, count() AS Calls, countIf({FAILED}) / count() AS Failed,
        max(s.ArgsSize) AS "Largest input", max(s.ResultSize) AS "Largest result", max(Start) AS "Last seen"
        FROM {STEPS} AND Kind = 'tool' GROUP BY Tool, Service, Agent ORDER BY Calls DESC LIMIT 200
    """
    columns = {
        "Tool": wide(160),
        "Service": wide(140),
        "Agent": linked("Open the agent", AGENT_URL, 140),
        "Calls": barred("short", "blue"),
        "Failed": [*measured("percentunit", 80, 0)],
        "Largest input": measured("bytes"),
        "Largest result": measured("bytes"),
        "Last seen": WHEN,
    }
    return rows(
        "Tools by agent", "Who calls what, how often, and how much goes in and comes out.", table(sql), columns, 14
    )


def _senders() -> Panel:
    return bars(
        "Steps by tenant",
        "A key names its tenant; steps that came without one are the default tenant's.",
        series(
            f"SELECT $__timeInterval(Start) AS time, Tenant, count() AS Value FROM {STEPS} GROUP BY time, Tenant "
            f"ORDER BY time"
        ),
        width=8,
    )


def _refused() -> Panel:
    return bars(
        "Requests refused, by reason",
        "Per door. `unauthenticated` is a missing or wrong key.",
        metric(
            "sum by (transport, reason) (increase(tracemend_receiver_refused_requests[$__rate_interval]))",
            "{{transport}}: {{reason}}",
        ),
        width=8,
    )


def _content() -> Panel:
    sql = f"""
        SELECT Service,
        countIf(Kind = 'llm' AND s.InputSize > 0) / greatest(countIf(Kind = 'llm'), 1) AS "Prompts kept",
        countIf(Kind = 'tool' AND s.ArgsSize > 0) / greatest(countIf(Kind = 'tool'), 1) AS "Tool inputs kept",
        sum(s.InputSize + s.OutputSize + s.ArgsSize + s.ResultSize) AS "Text seen"
        FROM {STEPS} AND Service != '' GROUP BY Service ORDER BY "Text seen" DESC LIMIT 100
    """
    share = [prop("max", 1)]
    columns = {
        "Prompts kept": [*barred("percentunit", "blue"), *share],
        "Tool inputs kept": [*barred("percentunit", "orange"), *share],
        "Text seen": measured("bytes"),
    }
    about = (
        "Share of calls whose content the agent's instrumentation sends, and how much text that was: where "
        "prompts and personal data may be kept."
    )
    return rows("Content captured", about, table(sql), columns, 8, 8)


def _handovers() -> Panel:
    sql = f"""
        SELECT Service, TransferFrom AS "From", TransferTo AS "To", count() AS Times, max(Start) AS "Last seen"
        FROM {STEPS} AND TransferTo != '' GROUP BY Service, "From", "To" ORDER BY Times DESC LIMIT 200
    """
    columns = {"Service": wide(150), "Times": barred("short", "purple"), "Last seen": WHEN}
    return rows("Hand-overs", "Which agent hands its work to which.", table(sql), columns, 10)


def _audit() -> Panel:
    sql = f"""
        SELECT At AS When, Who, Event, Fix, Risk, Service, Agent, Reason FROM (
            SELECT At, Who, toString(Event) AS Event, FixType AS Fix, Risk, Service, Agent, Reason FROM {APPROVALS}
            UNION ALL SELECT At, Who, toString(Event), FixType, Risk, Service, Agent, Reason FROM {HEALING}
        ) ORDER BY When DESC LIMIT 500
    """
    columns = {
        "When": WHEN,
        "Who": wide(110),
        "Event": EVENT,
        "Fix": wide(150),
        "Risk": RISK,
        "Service": wide(140),
        "Agent": wide(140),
    }
    return rows(
        "Who decided what",
        "Questions, answers and fixes in order; nobody named means by itself.",
        table(sql),
        columns,
        14,
    )


def _dead_letters() -> Panel:
    sql = """
        SELECT At AS When, Stage, Topic, Tenant, ErrorClass AS Error, ErrorText AS "What was wrong", Size
        FROM dead_letters FINAL WHERE $__timeFilter(At) ORDER BY At DESC LIMIT 200
    """
    columns = {
        "When": WHEN,
        "Stage": wide(150),
        "Topic": wide(120),
        "Tenant": wide(90),
        "Error": wide(180),
        "Size": measured("bytes", 90),
    }
    return rows(
        "Dead letters",
        "Records that could never be handled. Their bytes are on the bus, in `dead_letters`.",
        table(sql),
        columns,
        24,
        7,
    )
