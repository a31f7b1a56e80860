"""What statements claim: (subject, attribute, value), read from English by rules, with their time and certainty.

Closed word classes, verb frames and the shape of values, in the manner of pattern-based open information extraction
(Banko et al. 2007; Fader et al. 2011). What the rules cannot read gives no claim: a missed claim leaves two memories
side by side, a wrong one could retire a true fact.
"""

from __future__ import annotations

from memos_integrations.core.claims.claim import MARK, Claim, Strength, kind_of, mark, refines, same_value
from memos_integrations.core.claims.reading import claims_of, statements_of

__all__ = ["MARK", "Claim", "Strength", "claims_of", "kind_of", "mark", "refines", "same_value", "statements_of"]
