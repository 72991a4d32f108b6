"""All that the audit finds: claims with both verdicts, contradictions inside papers, disagreements between them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from t2i_repro.audit.claims import Judged, judge_claims
from t2i_repro.audit.contradictions import WORTH_LISTING, Compared, Contradiction, contradictions, disagreements
from t2i_repro.registry.systems import Definitions

Tables = Mapping[str, Mapping[str, dict[str, Any]]]
"""Rendered tables (table.json) by paper and table."""


@dataclass(frozen=True)
class Audit:
    """`compared`: what differs between papers at all, the largest spread first."""

    claims: dict[str, list[Judged]]
    contradictions: list[Contradiction]
    compared: list[Compared]

    @property
    def disagreements(self) -> list[Compared]:
        """Those worth listing: more than 5% apart."""
        return [compared for compared in self.compared if compared.spread > WORTH_LISTING]

    def counts(self, paper: str) -> dict[str, Counter[str]]:
        """Verdicts on a paper's claims: `printed` and `rebuilt`."""
        return {
            "printed": Counter(claim.printed.word for claim in self.claims[paper]),
            "rebuilt": Counter(claim.rebuilt.word for claim in self.claims[paper]),
        }

    def of(self, paper: str) -> "Audit":
        """What concerns one paper."""
        return Audit(
            {paper: self.claims[paper]},
            [found for found in self.contradictions if found.paper == paper],
            [found for found in self.compared if any(given.cell.paper == paper for given in found.prints)],
        )


def audit(papers: dict[str, dict[str, Any]], definitions: Definitions, tables: Tables) -> Audit:
    """Audit the `papers` of a registry, whose systems are those of `definitions`; `tables` may be incomplete."""
    claims = {paper_id: judge_claims(paper, tables.get(paper_id, {})) for paper_id, paper in papers.items()}
    failed = [broken(claim) for judged in claims.values() for claim in judged if claim.printed.truth is False]
    found = sorted([*contradictions(papers, definitions), *failed], key=lambda one: list(papers).index(one.paper))
    return Audit(claims, found, disagreements(papers))


def broken(claim: Judged) -> Contradiction:
    """A claim that the paper's own numbers refute."""
    title = f"Claim {claim.id} fails on the paper's own numbers"
    says = f"“{claim.says}” {'; '.join(claim.printed.reasons)}."
    return Contradiction("claim-fails", claim.paper, title, says, (claim.where,))
