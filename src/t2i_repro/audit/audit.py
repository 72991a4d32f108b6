"""The audit: claims with both verdicts, contradictions inside papers, disagreements between them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from t2i_repro.audit.contradictions import WORTH_LISTING, Compared, Contradiction, contradictions, disagreements
from t2i_repro.audit.evidence import printed_evidence, rebuilt_evidence
from t2i_repro.audit.verdicts import Verdict, evaluate
from t2i_repro.registry.claims import parse
from t2i_repro.registry.systems import Definitions

Tables = Mapping[str, Mapping[str, dict[str, Any]]]
"""Rendered tables (table.json) by paper and table."""


@dataclass(frozen=True)
class CheckedClaim:
    """A claim with its verdicts: on the printed numbers of its own paper, and on the rebuilt ones."""

    paper: str
    id: str
    where: str
    says: str
    check: str
    note: str | None
    printed: Verdict
    rebuilt: Verdict


@dataclass(frozen=True)
class Audit:
    """`compared`: every number that papers print differently, the largest spread first."""

    claims: dict[str, list[CheckedClaim]]
    contradictions: list[Contradiction]
    compared: list[Compared]

    @property
    def disagreements(self) -> list[Compared]:
        """Those of `compared` that differ by more than 5%."""
        return [compared for compared in self.compared if compared.spread > WORTH_LISTING]

    def counts(self, paper: str) -> dict[str, Counter[str]]:
        """How often each verdict occurs among a paper's claims, for `printed` and `rebuilt`."""
        return {
            "printed": Counter(claim.printed.word for claim in self.claims[paper]),
            "rebuilt": Counter(claim.rebuilt.word for claim in self.claims[paper]),
        }

    def of(self, paper: str) -> "Audit":
        """The part that concerns one paper."""
        return Audit(
            {paper: self.claims[paper]},
            [found for found in self.contradictions if found.paper == paper],
            [found for found in self.compared if any(one.cell.paper == paper for one in found.prints)],
        )


def audit(papers: dict[str, dict[str, Any]], definitions: Definitions, tables: Tables) -> Audit:
    """Audit the `papers` of a registry, whose systems are those of `definitions`. `tables` may be incomplete."""
    claims = {paper_id: check_claims(paper, tables.get(paper_id, {})) for paper_id, paper in papers.items()}
    failed = [broken(claim) for checked in claims.values() for claim in checked if claim.printed.truth is False]
    order = list(papers)
    found = sorted([*contradictions(papers, definitions), *failed], key=lambda one: order.index(one.paper))
    return Audit(claims, found, disagreements(papers))


def check_claims(paper: dict[str, Any], tables: Mapping[str, dict[str, Any]]) -> list[CheckedClaim]:
    """Evaluate every claim of a paper on its printed numbers and on those of its rendered `tables` (table.json by
    table)."""
    printed, rebuilt = printed_evidence(paper), rebuilt_evidence(paper, tables)
    return [
        CheckedClaim(
            paper=paper["id"],
            id=claim_id,
            where=claim["where"],
            says=claim["says"],
            check=" ".join(claim["check"].split()),
            note=claim.get("note"),
            printed=evaluate(parse(claim["check"]), printed),
            rebuilt=evaluate(parse(claim["check"]), rebuilt),
        )
        for claim_id, claim in paper.get("claims", {}).items()
    ]


def broken(claim: CheckedClaim) -> Contradiction:
    """A claim that the paper's own numbers refute."""
    title = f"Claim {claim.id} fails on the paper's own numbers"
    says = f"“{claim.says}” {'; '.join(claim.printed.reasons)}."
    return Contradiction("claim-fails", claim.paper, title, says, (claim.where,))
