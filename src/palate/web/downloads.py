"""The votes as a file: what a rule decides, for `palate dpo` or for a spreadsheet."""

import json
from typing import get_args

from starlette.exceptions import HTTPException
from starlette.responses import Response

from palate.collection.export import Rule, to_csv
from palate.web.desk import LabelVisit


def export(visit: LabelVisit, name: str) -> Response:
    """The file "RULE.jsonl" or "RULE.csv".

    Raises:
        HTTPException: 404, there is no such rule or kind.
    """
    wanted, _, kind = name.partition(".")
    rules: dict[str, Rule] = {rule: rule for rule in get_args(Rule)}
    if wanted not in rules or kind not in ("jsonl", "csv"):
        raise HTTPException(404, "there is no such export")
    rows = visit.desk.store.export(rule=rules[wanted]).rows
    if kind == "jsonl":
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        media_type = "application/jsonl"
    else:
        text, media_type = to_csv(rows), "text/csv"
    return Response(
        text.encode("utf-8"),
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="pairs-{name}"'},
    )
