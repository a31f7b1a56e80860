"""Countries and their parts, so that a town is not taken for the rival of the country that it may lie in. Pure."""

from __future__ import annotations

from memos_integrations.core.claims.claim import bare

COUNTRIES = frozenset(
    """
    afghanistan,albania,algeria,andorra,angola,argentina,armenia,australia,austria,azerbaijan,bahrain,bangladesh,belarus
    belgium,belize,benin,bhutan,bolivia,bosnia,botswana,brazil,britain,bulgaria,burundi,cambodia,cameroon,canada,chad
    chile,china,colombia,congo,costa rica,croatia,cuba,cyprus,czechia,czech republic,denmark,ecuador,egypt,england
    eritrea,estonia,ethiopia,fiji,finland,france,gabon,georgia,germany,ghana,greece,guatemala,guinea,haiti,honduras
    hungary,iceland,india,indonesia,iran,iraq,ireland,israel,italy,ivory coast,jamaica,japan,jordan,kazakhstan,kenya
    kosovo,kuwait,kyrgyzstan,laos,latvia,lebanon,liberia,libya,liechtenstein,lithuania,madagascar,malawi,malaysia,mali
    malta,mauritania,mauritius,mexico,moldova,mongolia,montenegro,morocco,mozambique,myanmar,namibia,nepal,netherlands
    new zealand,nicaragua,niger,nigeria,north macedonia,northern ireland,norway,oman,pakistan,panama,paraguay,peru
    philippines,poland,portugal,qatar,romania,russia,rwanda,saudi arabia,scotland,senegal,serbia,sierra leone,slovakia
    slovenia,somalia,south africa,south korea,spain,sri lanka,sudan,sweden,switzerland,syria,taiwan,tajikistan,tanzania
    thailand,tunisia,turkey,turkmenistan,uganda,ukraine,united arab emirates,united kingdom,united states,uk,us,usa
    uruguay,uzbekistan,venezuela,vietnam,wales,yemen,zambia,zimbabwe
    deutschland,frankreich,italien,spanien,schweiz,osterreich,espana,francia,italia,alemania
    """.replace("\n", ",").split(",")
)
REGIONS = frozenset(
    """
    alabama,alaska,arizona,arkansas,california,colorado,connecticut,delaware,florida,hawaii,idaho,illinois,indiana,iowa
    kansas,kentucky,louisiana,maine,maryland,massachusetts,michigan,minnesota,mississippi,missouri,montana,nebraska
    nevada,new hampshire,new jersey,new mexico,north carolina,north dakota,ohio,oklahoma,oregon,pennsylvania
    rhode island,south carolina,south dakota,tennessee,texas,utah,vermont,virginia,west virginia,wisconsin,wyoming
    ontario,quebec,british columbia,alberta,manitoba,saskatchewan,nova scotia,queensland,victoria,new south wales
    bavaria,saxony,hesse,tuscany,sicily,catalonia,andalusia,brittany,normandy,provence,kerala,punjab
    """.replace("\n", ",").split(",")
)
CONTINENTS = frozenset("europe asia africa america scandinavia".split())
_NAMES = frozenset(each.strip() for each in COUNTRIES | REGIONS if each.strip())


def is_within(one: str, other: str) -> bool:
    """Whether one of the two is a country or a continent, and the other may lie in it."""
    return _extent(bare(one)) != _extent(bare(other))


def _extent(place: str) -> int:
    return 2 if place in CONTINENTS else 1 if place in _NAMES else 0
