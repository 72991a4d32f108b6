"""The claims of papers/<id>.yaml, judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from t2i_repro.audit.evidence import printed_evidence, rebuilt_evidence
from t2i_repro.audit.verdicts import Verdict, judge
from t2i_repro.registry.claims import parse


@dataclass(frozen=True)
class Judged:
    """A claim with its verdicts: on the numbers of its own paper, and on the rebuilt ones."""

    paper: str
    id: str
    where: str
    says: str
    check: str
    note: str | None
    printed: Verdict
    rebuilt: Verdict


def judge_claims(paper: dict[str, Any], tables: Mapping[str, dict[str, Any]]) -> list[Judged]:
    """Every claim of a paper; `tables` are its rendered tables (table.json by table), as far as there are any."""
    printed, rebuilt = printed_evidence(paper), rebuilt_evidence(paper, tables)
    return [
        Judged(
            paper=paper["id"],
            id=claim_id,
            where=claim["where"],
            says=claim["says"],
            check=" ".join(claim["check"].split()),
            note=claim.get("note"),
            printed=judge(parse(claim["check"]), printed),
            rebuilt=judge(parse(claim["check"]), rebuilt),
        )
        for claim_id, claim in paper.get("claims", {}).items()
    ]
