"""Write an operation's example as a command of curl, a program in Python and one in JavaScript.

The programs need nothing but the languages themselves. HOST stands where the page writes the address by which it was
asked for. A signed job can't be an example, because it is accepted for ten minutes only: these programs send the file
`signed.json`, which the section on signing makes.
"""

import json
from pprint import pformat
from typing import Any

HOST = "http://beacon.invalid"
SIGNED = ("POST /api/v1/jobs", "POST /api/v1/jobs/cross-region")
WIDTH = 88


def samples(operation: str, example: dict[str, Any], *, admin: bool) -> dict[str, str]:
    """Return the texts by language. `operation` is `METHOD path`; with `admin` the request carries a token."""
    method = operation.partition(" ")[0]
    request, is_json = example["request"], example["response"]["type"].endswith("json")
    url = HOST + request["path"]
    body = request.get("body")
    if operation in SIGNED:
        body = {name: value for name, value in body.items() if name != "jobspec"} if "jobspec" in body else {}
        return {
            "curl": _signed_curl(url, body),
            "Python": _python(method, url, _signed_python(body), admin=admin, is_json=is_json),
            "JavaScript": _javascript(method, url, _signed_javascript(body), admin=admin, is_json=is_json),
        }
    python = None if body is None else f"body = {pformat(body, width=WIDTH - 7, sort_dicts=False)}"
    javascript = None if body is None else f"const body = {json.dumps(body, indent=2, ensure_ascii=False)};"
    return {
        "curl": _curl(method, url, body, admin=admin),
        "Python": _python(method, url, python, admin=admin, is_json=is_json),
        "JavaScript": _javascript(method, url, javascript, admin=admin, is_json=is_json),
    }


def _curl(method: str, url: str, body: Any, *, admin: bool) -> str:
    parts = ["curl -sS" + (f" -X {method}" if method != "GET" and body is None else "")]
    if admin:
        parts.append('-H "Authorization: Bearer $ADMIN_TOKEN"')
    if body is not None:
        quoted = json.dumps(body, ensure_ascii=False).replace("'", "'\\''")
        parts.append(f"--json '{quoted}'")
    parts.append(f"'{url}'")
    return " \\\n  ".join(parts) if len(" ".join(parts)) > WIDTH else " ".join(parts)


def _signed_curl(url: str, more: dict[str, Any]) -> str:
    if not more:
        return f"curl -sS --json @signed.json '{url}'"
    members = ", ".join(f"{name}: {json.dumps(value)}" for name, value in more.items())
    return f"jq '{{jobspec: ., {members}}}' signed.json |\n  curl -sS --json @- '{url}'"


def _python(method: str, url: str, body: str | None, *, admin: bool, is_json: bool) -> str:
    imports = ["import json" if is_json or body else "", "import os" if admin else "", "import urllib.request"]
    headers = ['"Content-Type": "application/json"'] if body else []
    headers += ['"Authorization": "Bearer " + os.environ["ADMIN_TOKEN"]'] if admin else []
    lines = [*filter(None, imports), ""]
    lines += [body, ""] if body else []
    lines.append("request = urllib.request.Request(")
    lines.append(f'    "{url}",')
    if body:
        lines.append("    json.dumps(body).encode(),")
    if headers:
        lines.append(f"    headers={{{', '.join(headers)}}},")
    lines += [f'    method="{method}",', ")", "with urllib.request.urlopen(request) as answer:"]
    lines.append(f"    print(answer.status, {'json.load(answer)' if is_json else 'answer.read().decode()'})")
    return "\n".join(lines)


def _signed_python(more: dict[str, Any]) -> str:
    read = 'json.load(open("signed.json"))'
    return f'body = {{"jobspec": {read}, **{more!r}}}' if more else f"body = {read}"


def _javascript(method: str, url: str, body: str | None, *, admin: bool, is_json: bool) -> str:
    headers = ['"Content-Type": "application/json"'] if body else []
    headers += ["Authorization: `Bearer ${process.env.ADMIN_TOKEN}`"] if admin else []
    options = [f'  method: "{method}",'] if method != "GET" else []
    options += [f"  headers: {{ {', '.join(headers)} }},"] if headers else []
    options += ["  body: JSON.stringify(body),"] if body else []
    lines = [body, ""] if body else []
    lines.append("\n".join([f'const answer = await fetch("{url}", {{', *options, "});"]) if options else
                 f'const answer = await fetch("{url}");')  # fmt: skip
    lines.append(f"console.log(answer.status, await answer.{'json' if is_json else 'text'}());")
    return "\n".join(lines)


def _signed_javascript(more: dict[str, Any]) -> str:
    read = 'JSON.parse(await readFile("signed.json", "utf8"))'
    made = f"{{ jobspec: {read}, ...{json.dumps(more)} }}" if more else read
    return f'import {{ readFile }} from "node:fs/promises";\n\nconst body = {made};'
