"""Name and place pools the synthetic people are drawn from.

Every personal name comes as (as written, in ASCII), because the written form goes to `displayName` and the ASCII
form to addresses: a directory of people who all fit ASCII hides most encoding defects.
"""

from dataclasses import dataclass

Name = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Locale:
    """One country with the names, city and phone prefix its people get."""

    country_code: str
    country: str
    city: str
    state: str
    postal_code: str
    language: str
    phone_prefix: str
    given_names: tuple[Name, ...]
    surnames: tuple[Name, ...]
    surname_first: bool = False


def _names(text: str) -> tuple[Name, ...]:
    """Reads `Written=Ascii` words; a word without `=` is its own ASCII form."""
    pairs = (word.partition("=") for word in text.split())
    return tuple((written, ascii_form or written) for written, _, ascii_form in pairs)


# ruff: noqa: RUF001 - letters that look like others are the point
LOCALES: tuple[Locale, ...] = (
    Locale(
        country_code="US", country="United States", city="Seattle", state="WA", postal_code="98101",
        language="en-US", phone_prefix="+1 206",
        given_names=_names("Olivia James Charlotte Noah Ava William Maya Ethan"),
        surnames=_names("Smith Johnson Garcia Williams Brown Davis Nguyen Lee"),
    ),
    Locale(
        country_code="DE", country="Germany", city="München", state="Bayern", postal_code="80331",
        language="de-DE", phone_prefix="+49 89",
        given_names=_names("Jürgen=Juergen Anna Björn=Bjoern Käthe=Kaethe Lukas Sophie Jörg=Joerg Mia"),
        surnames=_names("Müller=Mueller Weiß=Weiss Schröder=Schroeder Krüger=Krueger Fischer Größer=Groesser Bauer"),
    ),
    Locale(
        country_code="FR", country="France", city="Orléans", state="Centre-Val de Loire", postal_code="45000",
        language="fr-FR", phone_prefix="+33 2",
        given_names=_names("Zoé=Zoe François=Francois Hélène=Helene Loïc=Loic Amélie=Amelie Jean-Luc Noël=Noel"),
        surnames=_names("Lefèvre=Lefevre D'Amboise=D'Amboise Dubois Béranger=Beranger L'Écuyer=L'Ecuyer Moreau"),
    ),
    Locale(
        country_code="IE", country="Ireland", city="Dublin", state="Leinster", postal_code="D02 X285",
        language="en-IE", phone_prefix="+353 1",
        given_names=_names("Aoife Seán=Sean Niamh Ciarán=Ciaran Róisín=Roisin Oisín=Oisin"),
        surnames=_names("O'Brien O'Connor Murphy D'Arcy O'Súilleabháin=O'Suilleabhain Byrne"),
    ),
    Locale(
        country_code="NL", country="Netherlands", city="'s-Hertogenbosch", state="Noord-Brabant",
        postal_code="5211 AX", language="nl-NL", phone_prefix="+31 73",
        given_names=_names("Daan Fenna Joris Anouk Thijs Noëlle=Noelle"),
        surnames=_names("Jansen Bakker Visser Smit Brouwer Coppoolse"),
    ),
    Locale(
        country_code="ES", country="Spain", city="A Coruña", state="Galicia", postal_code="15001",
        language="es-ES", phone_prefix="+34 981",
        given_names=_names("José=Jose Begoña=Begona Íñigo=Inigo María=Maria Andrés=Andres Lucía=Lucia"),
        surnames=_names("García=Garcia Muñoz=Munoz Núñez=Nunez Ibáñez=Ibanez Peña=Pena"),
    ),
    Locale(
        country_code="PL", country="Poland", city="Łódź", state="łódzkie", postal_code="90-001",
        language="pl-PL", phone_prefix="+48 42",
        given_names=_names("Łukasz=Lukasz Małgorzata=Malgorzata Zbigniew Żaneta=Zaneta Michał=Michal"),
        surnames=_names("Wójcik=Wojcik Kowalczyk Błaszczyk=Blaszczyk Żuławski=Zulawski Dąbrowska=Dabrowska"),
    ),
    Locale(
        country_code="SE", country="Sweden", city="Göteborg", state="Västra Götaland", postal_code="411 03",
        language="sv-SE", phone_prefix="+46 31",
        given_names=_names("Åsa=Asa Björn=Bjorn Elin Örjan=Orjan Märta=Marta"),
        surnames=_names("Åkesson=Akesson Sjöberg=Sjoberg Lindström=Lindstrom Öberg=Oberg Nilsson"),
    ),
    Locale(
        country_code="TR", country="Türkiye", city="İzmir", state="İzmir", postal_code="35000",
        language="tr-TR", phone_prefix="+90 232",
        given_names=_names("İpek=Ipek Işıl=Isil Çağrı=Cagri Gökçe=Gokce Şule=Sule"),
        surnames=_names("Yıldız=Yildiz Öztürk=Ozturk Çelik=Celik Şahin=Sahin Güneş=Gunes"),
    ),
    Locale(
        country_code="JP", country="Japan", city="東京", state="東京都", postal_code="100-0001",
        language="ja-JP", phone_prefix="+81 3", surname_first=True,
        given_names=_names("花子=Hanako 太郎=Taro 美咲=Misaki 健=Ken さくら=Sakura"),
        surnames=_names("佐藤=Sato 鈴木=Suzuki 髙橋=Takahashi 田中=Tanaka 渡邊=Watanabe"),
    ),
    Locale(
        country_code="CN", country="China", city="上海", state="上海市", postal_code="200000",
        language="zh-CN", phone_prefix="+86 21", surname_first=True,
        given_names=_names("伟=Wei 芳=Fang 秀英=Xiuying 𠮷=Ji 娜=Na"),
        surnames=_names("王=Wang 李=Li 张=Zhang 刘=Liu 陈=Chen"),
    ),
    Locale(
        country_code="KR", country="Korea", city="서울", state="서울특별시", postal_code="04524",
        language="ko-KR", phone_prefix="+82 2", surname_first=True,
        given_names=_names("민준=Minjun 서연=Seoyeon 지우=Jiu 하은=Haeun"),
        surnames=_names("김=Kim 이=Lee 박=Park 최=Choi"),
    ),
    Locale(
        country_code="GR", country="Greece", city="Αθήνα", state="Αττική", postal_code="105 57",
        language="el-GR", phone_prefix="+30 21",
        given_names=_names("Ελένη=Eleni Γιώργος=Giorgos Σοφία=Sofia Νίκος=Nikos"),
        surnames=_names("Παπαδόπουλος=Papadopoulos Γεωργίου=Georgiou Νικολάου=Nikolaou"),
    ),
    Locale(
        country_code="IL", country="Israel", city="תל אביב", state="תל אביב", postal_code="6100000",
        language="he-IL", phone_prefix="+972 3",
        given_names=_names("נועה=Noa דוד=David יעל=Yael אורי=Ori"),
        surnames=_names("כהן=Cohen לוי=Levi מזרחי=Mizrahi פרץ=Peretz"),
    ),
)  # fmt: skip

DEPARTMENTS: tuple[str, ...] = (
    "Engineering", "Sales", "Support", "Finance", "Human Resources", "IT", "Legal", "Marketing", "Operations",
    "Research & Development", "Logistics", "Facilities",
)  # fmt: skip

JOB_TITLES: tuple[str, ...] = (
    "Engineer", "Senior Engineer", "Analyst", "Account Executive", "Specialist", "Coordinator", "Consultant",
    "Director", "Administrator", "Architect", "Controller", "Trainee",
)  # fmt: skip

EMOJI: tuple[str, ...] = ("🚀", "🌻", "👩🏽‍💻", "🎸", "🏳️‍🌈")
