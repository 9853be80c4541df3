"""Encodings by the letters of words."""

import pytest

from risk.data import encodings

PLACES = {
    "cp1252": [
        "Österreich Köln Straße Größe",
        "Besançon Orléans forêt",
        "Málaga Logroño Cádiz",
        "São_Paulo Goiânia",
        "Ærø Ålborg Tromsø",
        "Þorlákshöfn Ísafjörður Sauðárkrókur",
        "CAFÉ GENÈVE",
    ],
    "cp1250": [
        "Łódź Śląskie Kraków",
        "Plzeň Středočeský Ústí",
        "Győr Vásárhely ügyfél férfi Pécs",
    ],
    "cp1251": ["Москва Казань", "МОСКВА КИЕВ ТОМСК", "Київ Чернігів"],
    "cp1253": ["Αθήνα Πάτρα Θεσσαλονίκη"],
    "cp1254": ["İstanbul Iğdır Muş"],
    "cp1257": ["Šiauliai Klaipėda Panevėžys", "Cēsis Ķegums Līgatne Pļaviņas"],
    "cp932": ["東京都 大阪府 ヤマダ 髙橋", "ｶﾌﾞｼｷｶﾞｲｼｬ ﾔﾏﾀﾞ ﾀﾛｳ"],
    "cp949": ["서울특별시 부산광역시 제주"],
    "cp950": ["臺北市 高雄市 嘉義縣"],
    "gb18030": ["北京市 上海市 深圳 王小明"],
}


@pytest.mark.parametrize(
    ("encoding", "words"), [(name, own) for name, texts in PLACES.items() for own in texts]
)
def test_an_encoding_is_that_in_which_the_words_are_well_spelt(encoding, words):
    """Nearly all bytes are characters in each of them; none is told to look misread."""
    content = words.replace(" ", ";\n").encode(encoding)

    found = encodings.by_letters(content)

    assert (found.encoding, found.is_sure) == (encoding, True)
    assert not encodings.is_misread([content], encoding)


def test_of_few_words_the_other_reading_is_told():
    """Two syllables of Korean could be two characters of Chinese; of many that is no chance."""
    few = encodings.by_letters("서울".encode("cp949"))
    many = encodings.by_letters("\n".join(chr(0xAC00 + 28 * n) for n in range(60)).encode("cp949"))

    assert few.encoding == many.encoding == "cp949"
    assert "is it 서울 or 憮選? the file could also be in Big5" in few.doubts[0]
    assert many.other is None


def test_what_is_in_no_known_encoding_is_told_to_look_misread():
    """Thai, of which a person saves a copy in UTF-8."""
    found = encodings.by_letters("กรุงเทพมหานคร\nเชียงใหม่\nภูเก็ต\n".encode("cp874"))

    assert not found.is_sure
    assert "looks misread" in found.doubts[0]


@pytest.mark.parametrize("words", [own for texts in PLACES.values() for own in texts])
def test_utf_8_is_told_from_the_encodings_of_one_byte(words):
    """Without a mark, Müller would become MÃ¼ller in silence; also if a piece ends in a letter."""
    content = 9 * f"{words} ".encode()
    middle = next(i for i in range(40, len(content)) if content[i] & 0xC0 == 0x80)
    pieces = [content[:middle], content[middle:]]

    for encoding in ("cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1257"):
        assert encodings.is_misread([content], encoding), encoding
        assert encodings.is_misread(pieces, encoding), encoding


@pytest.mark.parametrize("signs", ["1\u00a0234", "12 °C", "§ 5", "5 €", "m²"])
def test_signs_are_told_as_well(signs):
    """A space at which no line breaks would get an Â before it."""
    assert encodings.is_misread([signs.encode()], "cp1252")
    assert not encodings.is_misread([signs.encode("cp1252")], "cp1252")


def test_what_both_encodings_may_mean_is_read_as_set():
    """ASCII, and characters of GB18030 that are also UTF-8."""
    assert not encodings.is_misread([b"id,x\na,1\n"], "cp1252")
    assert "\u901a".encode("gb18030").decode() == "\u0368"
    assert not encodings.is_misread(["3楼,通".encode("gb18030")], "gb18030")
