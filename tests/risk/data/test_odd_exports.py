"""Exports as programs of several countries write them: each becomes rows without editing."""

import numpy as np
import pytest

from risk.config import Config
from risk.data import drops
from risk.data.initialise import initialise

RNG = np.random.default_rng(7)
N = 120
NO_BREAK, NARROW = "\u00a0", "\u202f"
AMOUNTS = RNG.gamma(2, 900, N).round(2)
BALANCES = (AMOUNTS - 1500).round(2)
MONTHS = RNG.integers(1, 73, N)
LEFT = RNG.random(N) < 1 / (1 + np.exp(-BALANCES / 800))


def comma(number, digits=2):
    """Write a number as in Germany."""
    return f"{number:,.{digits}f}".translate(str.maketrans(",.", ".,"))


def export(header, *columns, separator=";", encoding="utf-8", above="", below=""):
    rows = [separator.join(map(str, cells)) for cells in zip(*columns, strict=True)]
    lines = [*above.splitlines(), header, *rows, *below.splitlines()]
    return ("\r\n".join(lines) + "\r\n").encode(encoding)


def keys(prefix):
    return [f"{prefix}{n:04d}" for n in range(N)]


def among(*words):
    return [words[n // 5 % len(words)] for n in range(N)]


def says(yes, no):
    return [yes if left else no for left in LEFT]


EXPORTS = {
    "a telephone company in Poland": (
        export(
            "Nr klienta;Opłata;Miesiące;Województwo;Rezygnacja",
            keys("PL"),
            [f"{comma(v).replace('.', NO_BREAK)} zł" for v in AMOUNTS],
            MONTHS,
            among("Małopolskie", "Śląskie", "Łódzkie"),
            says("tak", "nie"),
            encoding="cp1250",
        ),
        {"Opłata": AMOUNTS, "Miesiące": MONTHS},
        ("Rezygnacja", "tak"),
    ),
    "a bank in Czechia": (
        export(
            "Číslo smlouvy;Zůstatek;Příjem;Kraj;Nesplácí",
            [70_000_000 + 13 * n for n in range(N)],
            [f"{comma(abs(v))}{'-' if v < 0 else ''}" for v in BALANCES],
            [comma(1000 * m, 0) for m in MONTHS],
            among("Středočeský", "Plzeňský", "Vysočina"),
            says("ano", "ne"),
            encoding="cp1250",
        ),
        {"Zůstatek": BALANCES, "Příjem": 1000 * MONTHS},
        ("Nesplácí", "ano"),
    ),
    "accounts in the United States": (
        export(
            '"Account No","Balance","Open items","Segment","Defaulted"',
            [f'"A-{n}"' for n in range(N)],
            [f'"(${-v:,.2f})"' if v < 0 else f'"${v:,.2f}"' for v in BALANCES],
            [f'"{97 * m:,}"' for m in MONTHS],
            among('"SMB"', '"Retail"'),
            says('"Y"', '"N"'),
            separator=",",
        ),
        {"Balance": BALANCES, "Open items": 97 * MONTHS},
        ("Defaulted", "Y"),
    ),
    "a spreadsheet in Germany": (
        export(
            "Kundennummer;Umsatz;Bestand;Vertrag;Gekündigt",
            [100_000 + 7 * n for n in range(N)],
            [comma(v, 0 if n % 3 == 0 else 2) for n, v in enumerate(AMOUNTS)],
            [comma(100 * m, 0) for m in MONTHS],
            among("monatlich", "jährlich"),
            says("WAHR", "FALSCH"),
            above="\ufeffsep=;",
        ),
        {
            "Umsatz": [float(f"{v:.{0 if n % 3 == 0 else 2}f}") for n, v in enumerate(AMOUNTS)],
            "Bestand": 100 * MONTHS,
        },
        ("Gekündigt", "WAHR"),
    ),
    "a bank in Switzerland": (
        export(
            "Konto|Vermögen|Auslastung|Filiale|Abgewandert",
            keys("CH"),
            [f"CHF {v:,.2f}".replace(",", "’") for v in AMOUNTS],
            [f"{m}.5 %" for m in MONTHS],
            among("Zürich", "Genève"),
            says("ja", "nein"),
            separator="|",
        ),
        {"Vermögen": AMOUNTS, "Auslastung": MONTHS + 0.5},
        ("Abgewandert", "ja"),
    ),
    "bookings of a hotel": (
        export(
            "booking,lead_time,arrival_date,agent,company,country,is_canceled",
            keys("B"),
            MONTHS,
            [44_200 + n for n in range(N)],
            ["NULL" if n % 5 == 0 else n % 40 for n in range(N)],
            ["\\N" if n % 3 else n % 40 for n in range(N)],
            among("PRT", "GBR"),
            LEFT.astype(int),
            separator=",",
        ),
        {
            "lead_time": MONTHS,
            "agent": [np.nan if n % 5 == 0 else n % 40 for n in range(N)],
            "company": [np.nan if n % 3 else n % 40 for n in range(N)],
        },
        ("is_canceled", 1),
    ),
    "employees in France": (
        export(
            "Matricule;Salaire;Ancienneté;Service;Note;Note;Départ",
            keys("M"),
            [f"{comma(v).replace('.', NARROW)} €" for v in AMOUNTS],
            MONTHS,
            among("Comptabilité", "Ventes"),
            among(1, 2),
            among(3, 4),
            says("oui", "non"),
            above="RH : Matricule;Salaire;Ancienneté;Service;Note;Note;Départ\nÉdité hier\n\n",
            below=f"Total;{comma(AMOUNTS.sum())} €;{MONTHS.sum()};;;;",
        ),
        {"Salaire": AMOUNTS, "Ancienneté": MONTHS},
        ("Départ", "oui"),
    ),
    "a supplier of electricity in Spain": (
        export(
            "Código cliente;Años;Consumo;País;Baja",
            keys("ES"),
            MONTHS,
            ["desconocido" if n % 11 == 0 else comma(v) for n, v in enumerate(AMOUNTS)],
            ["España"] * N,
            says("sí", "no"),
            encoding="cp1252",
        ),
        {
            "Años": MONTHS,
            "Consumo": [np.nan if n % 11 == 0 else v for n, v in enumerate(AMOUNTS)],
        },
        ("Baja", "sí"),
    ),
    "subscriptions in Hungary": (
        export(
            "\ufeffÜgyfélszám\tDíj\tHónap\tVáros\tLemondta",
            keys("HU"),
            [f"{v:,.0f} Ft".replace(",", " ") for v in 1000 * AMOUNTS],
            MONTHS,
            among("Győr", "Szeged", "Pécs"),
            says("igen", "nem"),
            separator="\t",
            encoding="utf-16-le",
        ),
        {"Díj": (1000 * AMOUNTS).round(), "Hónap": MONTHS},
        ("Lemondta", "igen"),
    ),
    "a shop in Russia": (
        export(
            "Номер;Сумма;Месяцев;Город;Отток",
            keys("RU"),
            [f"{v:.2f}".replace(".", ",") for v in AMOUNTS],
            MONTHS,
            among("Москва", "Казань"),
            says("да", "нет"),
            encoding="cp1251",
        ),
        {"Сумма": AMOUNTS, "Месяцев": MONTHS},
        ("Отток", "да"),
    ),
    "insurance in Brazil": (
        export(
            '"CPF","Renda","Meses","Cidade","Cancelou"',
            [f'"{n:03d}.111-{n % 90:02d}"' for n in range(N)],
            [f'"R$ {comma(v)}"' for v in AMOUNTS],
            MONTHS,
            among('"São Paulo"', '"Goiânia"'),
            says('"Sim"', '"Não"'),
            separator=",",
        ),
        {"Renda": AMOUNTS, "Meses": MONTHS},
        ("Cancelou", "Sim"),
    ),
    "whole numbers in Türkiye": (
        export(
            "Müşteri No;Gelir;Ay;Şehir;İptal",
            keys("T"),
            [comma(v, 0) for v in AMOUNTS],
            MONTHS,
            among("İstanbul", "Diyarbakır", "Iğdır"),
            says("evet", "hayır"),
            encoding="cp1254",
        ),
        {"Gelir": AMOUNTS.round(), "Ay": MONTHS},
        ("İptal", "evet"),
    ),
    "software, with blanks behind commas": (
        export(
            "user_id, created_at, plan, spend, seats, churned",
            keys("u"),
            [1_735_689_600 + 86_400 * n for n in range(N)],
            among("free", "team"),
            ["-" if n % 9 == 0 else v for n, v in enumerate(AMOUNTS)],
            MONTHS,
            says("TRUE", "FALSE"),
            separator=", ",
        ),
        {"spend": [np.nan if n % 9 == 0 else v for n, v in enumerate(AMOUNTS)], "seats": MONTHS},
        ("churned", "TRUE"),
    ),
    "a utility in Greece": (
        export(
            "Κωδικός;Ποσό;Μήνες;Πόλη;Ακύρωση",
            keys("G"),
            [f"{comma(v)} €" for v in AMOUNTS],
            MONTHS,
            among("Αθήνα", "Πάτρα"),
            says("ναι", "όχι"),
            encoding="cp1253",
        ),
        {"Ποσό": AMOUNTS, "Μήνες": MONTHS},
        ("Ακύρωση", "ναι"),
    ),
    "a fund in Lithuania": (
        export(
            "Kliento nr.;Likutis;Mėnesiai;Miestas;Nutraukė",
            keys("LT"),
            [comma(v) for v in BALANCES],
            MONTHS,
            among("Šiauliai", "Klaipėda", "Panevėžys"),
            says("taip", "ne"),
            encoding="cp1257",
            below=f"Iš viso;{comma(BALANCES.sum())};{MONTHS.sum()};;",
        ),
        {"Likutis": BALANCES, "Mėnesiai": MONTHS},
        ("Nutraukė", "taip"),
    ),
    "a telephone company in Japan": (
        export(
            "顧客番号,月額料金,契約月数,都道府県,解約",
            keys("JP"),
            [f'"{v:,.0f}円"' for v in AMOUNTS],
            MONTHS,
            among("東京都", "神奈川県", "能登"),  # of 能 the second byte is a backslash
            says("はい", "いいえ"),
            separator=",",
            encoding="cp932",
        ),
        {"月額料金": AMOUNTS.round(), "契約月数": MONTHS},
        ("解約", "はい"),
    ),
    "a bank in Korea": (
        export(
            "고객번호,잔액,개월,지역,해지여부",
            keys("KR"),
            [f"{v:.2f}" for v in BALANCES],
            MONTHS,
            among("서울특별시", "부산광역시", "제주"),
            says("예", "아니오"),
            separator=",",
            encoding="cp949",
        ),
        {"잔액": BALANCES, "개월": MONTHS},
        ("해지여부", "예"),
    ),
    "a shop in China": (
        export(
            "客户编号\t消费金额\t月数\t城市\t是否流失",
            keys("CN"),
            [f"¥{v:,.2f}" for v in AMOUNTS],
            MONTHS,
            among("北京", "上海", "深圳"),
            says("是", "否"),
            separator="\t",
            encoding="gb18030",
        ),
        {"消费金额": AMOUNTS, "月数": MONTHS},
        ("是否流失", "是"),
    ),
    "insurance in Taiwan": (
        export(
            "客戶編號,保費,月數,縣市,流失",
            keys("TW"),
            [f"{v:.2f}" for v in AMOUNTS],
            MONTHS,
            among("臺北市", "高雄市", "功館"),
            says("是", "否"),
            separator=",",
            encoding="cp950",
        ),
        {"保費": AMOUNTS, "月數": MONTHS},
        ("流失", "是"),
    ),
    "a bank in Iceland": (
        export(
            "Númer;Staða;Mánuðir;Staður;Hætt",
            keys("IS"),
            [comma(v) for v in BALANCES],
            MONTHS,
            among("Þorlákshöfn", "Sauðárkrókur", "Ísafjörður"),
            says("já", "nei"),
            encoding="cp1252",
        ),
        {"Staða": BALANCES, "Mánuðir": MONTHS},
        ("Hætt", "já"),
    ),
    "two files put together": (
        export(
            "ID,LIMIT_BAL,PAY_0,EDUCATION,default payment next month",
            range(1, N + 1),
            (100 * AMOUNTS).astype(int),
            MONTHS,
            among(1, 2, 3),
            LEFT.astype(int),
            separator=",",
            below="ID,LIMIT_BAL,PAY_0,EDUCATION,default payment next month\n",
        ),
        {"LIMIT_BAL": (100 * AMOUNTS).astype(int), "PAY_0": MONTHS},
        ("default payment next month", 1),
    ),
}


@pytest.mark.parametrize(("content", "numbers", "target"), EXPORTS.values(), ids=EXPORTS)
def test_an_odd_export_is_read_without_editing(tmp_path, content, numbers, target):
    """Every row is accepted, every number is the one that was written, and the target is found."""
    (tmp_path / "export.csv").write_bytes(content)

    made = initialise(tmp_path / "export.csv")

    config = Config.load(made.config_path)
    parts = (config.test_data, config.input_folder / "export.csv")
    rows = [drops.read_whole(config, path) for path in parts]
    assert sum(map(len, rows)) == N
    for name, written in numbers.items():
        found = np.sort(np.concatenate([part[name] for part in rows]))
        assert np.array_equal(found, np.sort(np.asarray(written, float)), equal_nan=True)
    assert (config.columns.target, config.columns.positive_label) == target
    assert sum(part[config.columns.target].sum() for part in rows) == LEFT.sum()
