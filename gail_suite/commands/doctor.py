"""`gail-suite doctor`."""

from __future__ import annotations

from gail_suite.commands.common import DEFAULT, Output, command


def doctor(*, output: Output = DEFAULT) -> None:
    """Show versions, devices, renderers and physics of this machine, and what would stop the main job."""
    from gail_suite.jobs.doctor import diagnose

    found = diagnose()
    lines = []
    for name, value in found.items():
        if name != "problems":
            shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
            lines.append(f"{name:<18} {shown}")
    lines += [f"problem: {problem}" for problem in found["problems"]] or ["no problems found"]
    output.result(found, "\n".join(lines), [command("demo")])
