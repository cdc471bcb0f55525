# ruff: noqa: E501 - examples stand on one line each
"""What voices are given to read: numbers, signs and abbreviations of each language, and what was written for them."""

from __future__ import annotations

import re
import time
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxrtc.languages import ALL, NAMES
from voxrtc.models.tts import numerals
from voxrtc.models.tts.normalization import normalize
from voxrtc.models.tts.reading import Reading
from voxrtc.models.tts.readings import FOLDER, readings

EXAMPLES = [
    ("en", "It costs $20.50 or $3.5 million.", "It costs twenty dollars fifty cents or three point five million dollars."),
    ("en", "Call +1 555 123 4567.", "Call plus one, five five five, one two three, four five six seven."),
    ("en", "On March 5, 2024 at 12:30 pm", "On March fifth, twenty twenty-four at twelve thirty PM"),
    ("en", "the 21st of May 1984", "the twenty-first of May nineteen eighty-four"),
    ("en", "2024-03-05 or 03/05/2024", "March fifth, twenty twenty-four or March fifth, twenty twenty-four"),
    ("en", "Dr. Smith paid 15% of 3,500 kg.", "Doctor Smith paid fifteen percent of three thousand five hundred kilograms."),
    ("en", "At 9:05, 9:00 or 7pm", "At nine oh five, nine o'clock or seven PM"),
    ("en", "-5°C in the 1990s, 5-7 people", "minus five degrees Celsius in the nineteen nineties, five to seven people"),
    ("en", "1 km, 007 & 2.3.1", "one kilometre, zero zero seven and two point three point one"),
    ("en", "12345678901234567", "one two three four five six seven eight nine zero one two three four five six seven"),
    ("en", "I see, etc.", "I see, et cetera."),
    ("en", "AT&T and me@b.org", "AT and T and me at b dot org"),
    ("es", "Cuesta 3,50 € o 1.234.567 euros.", "Cuesta tres euros con cincuenta céntimos o un millón doscientos treinta y cuatro mil quinientos sesenta y siete euros."),
    ("es", "El Sr. López, 14:30, 15 %, 3ª vez", "El señor López, catorce y treinta, quince por ciento, tercera vez"),
    ("fr", "3,50 € à 14h30, M. Dupont.", "trois euros cinquante centimes à quatorze heures trente, monsieur Dupont."),
    ("fr", "Le 1er mai 2024, au 21e siècle", "Le premier mai deux mille vingt-quatre, au vingt-et-unième siècle"),
    ("fr", "01 23 45 67 89", "zéro un, deux trois, quatre cinq, six sept, huit neuf"),
    ("fr", "1 234 567 habitants", "un million deux cent trente-quatre mille cinq cent soixante-sept habitants"),
    ("de", "Am 3. Mai 1984, d. h. vor dem 2. Weltkrieg", "Am dritten Mai neunzehnhundertvierundachtzig, das heißt vor dem zweiten Weltkrieg"),
    ("de", "um 14:30 Uhr 3,50 € und 1 Euro", "um vierzehn Uhr dreißig drei Euro fünfzig Cent und ein Euro"),
    ("de", "1.234,5 km bei 21 °C", "eintausendzweihundertvierunddreißig Komma fünf Kilometer bei einundzwanzig Grad"),
    ("it", "Costa 3,50 € il 1 maggio 2024.", "Costa tre euro e cinquanta centesimi il primo maggio duemilaventiquattro."),
    ("pt", "Custa R$ 3,50, 21%.", "Custa três reais e cinquenta centavos, vinte e um por cento."),
    ("hi", "₹500, 21%, 12:30 बजे, १२ किताबें", "पाँच सौ रुपये, इक्कीस प्रतिशत, बारह बजकर तीस मिनट, बारह किताबें"),
    ("ja", "2024年3月5日14:30、￥500、5km。", "二千二十四年三月五日十四時三十分、五百円、五キロメートル。"),
    ("zh", "2024年3月，21%，20°C，￥500。", "二零二四年三月，百分之二十一，摄氏二十度，五百元。"),
    ("ko", "3시 30분에 3개, 14:30, 21%", "세 시 삼십 분에 세 개, 십사시 삼십분, 이십일 퍼센트"),
    ("ms", "RM 3.50 pada 5 Mac 2024, 21%", "tiga ringgit lima puluh sen pada lima Mac dua ribu dua puluh empat, dua puluh satu peratus"),
    ("ta", "₹500, 21%, 3வது", "ஐநூறு ரூபாய், இருபத்து ஒன்று சதவீதம், மூன்றாவது"),
    ("te", "21%, 12:30, 3వ", "ఇరవై ఒకటి శాతం, పన్నెండు గంటల ముప్పై నిమిషాలు, మూడవ"),
    ("mr", "₹500, 21%, 5 km", "पाचशे रुपये, एकवीस टक्के, पाच किलोमीटर"),
    ("kn", "₹500, 21%, 3ನೇ", "ಐನೂರು ರೂಪಾಯಿ, ಇಪ್ಪತ್ತೊಂದು ಪ್ರತಿಶತ, ಮೂರನೇ"),
    ("ml", "₹500, 21%, 5 km", "അഞ്ഞൂറ് രൂപ, ഇരുപത്തിയൊന്ന് ശതമാനം, അഞ്ച് കിലോമീറ്റർ"),
    ("bn", "21%, ১২৩, ৩য়", "একুশ শতাংশ, একশো তেইশ, তৃতীয়"),
    ("nl", "21 mensen", "eenentwintig mensen"),
    ("xx", "21 things", "21 things"),
    ("en", "No signs at all.", "No signs at all."),
    ("en", "It's 7:00 AM. See you.", "It's seven AM. See you."),
    ("en", "At 7 a.m. we go. At 9 p.m.", "At seven AM we go. At nine PM."),
    ("en", "By 7 a.m. Monday, 8 p.m. EST or ten a.m. Then go.", "By seven AM Monday, eight PM EST or ten AM. Then go."),
    ("en", "$1.2M, £3bn, €5m and $20k.", "one point two million dollars, three billion pounds, five million euros and twenty thousand dollars."),
    ("en", "Main St. and Baker St. in St. Louis, 221 Baker St. London", "Main Street and Baker Street in Saint Louis, two hundred twenty-one Baker Street London"),
    ("en", "It is on Main St. Turn left at 5th Ave. or Elm St.", "It is on Main Street. Turn left at fifth Avenue or Elm Street."),
    ("en", "the 1,000th time, 5-10%, $5-10 or $1.50-2.50", "the one thousandth time, five to ten percent, five to ten dollars or one dollar fifty cents to two dollars fifty cents"),
    ("en", "1 Corinthians 13:4-7, open 10:30-11", "one Corinthians thirteen four to seven, open ten thirty to eleven"),
    ("en", "Call 911, or dial 112. He has 911 friends.", "Call nine one one, or dial one one two. He has nine hundred eleven friends."),
    ("en", "10 s, 2 hrs, 3h, 30s, 1 hr, 5 mins", "ten seconds, two hours, three hours, thirty seconds, one hour, five minutes"),
    ("en", "the 1990s, the 90s, in his 30s", "the nineteen nineties, the nineties, in his thirties"),
    ("en", "Jan. 5, 5 Dec 2024, Dec 2024, in Feb.", "January fifth, the fifth of December twenty twenty-four, December twenty twenty-four, in February."),
    ("en", "Mon. at 9, Mon-Fri, Sat. 5 May, I saw the sun. Sun. It sat.", "Monday at nine, Monday to Friday, Saturday the fifth of May, I saw the sun. Sun. It sat."),
    ("en", "Order #A123-45 and #AB1234 of #G20", "Order number A one two three, four five and number A B one two three four of hashtag G twenty"),
    ("zh", "2个人，2本书，2个月，12个，2月", "两个人，两本书，两个月，十二个，二月"),
    ("zh", "-5°C，2公里，2:30", "零下五摄氏度，两公里，两点三十分"),
    ("es", "5 ºC, 1 hora, 21 horas, 200 personas, £1", "cinco grados, una hora, veintiuna horas, doscientas personas, una libra"),
    ("es", "1 libro, 21 días, 1.º", "un libro, veintiún días, primero"),
    ("de", "1 Stunde, 1 Tag, 101 Seiten", "eine Stunde, ein Tag, einhunderteine Seiten"),
    ("fr", "1 heure, 21 personnes, à 14 h 30, 1 jour", "une heure, vingt-et-une personnes, à quatorze heures trente, un jour"),
    ("it", "1 ora, 21 ore, 1 giorno", "una ora, ventuno ore, un giorno"),
    ("pt", "2 horas, 1 hora, 2 dias", "duas horas, uma hora, dois dias"),
]  # fmt: skip


@pytest.mark.parametrize(("language", "written", "read"), EXAMPLES)
def test_examples(language: str, written: str, read: str) -> None:
    assert normalize(written, language).text == read


def test_every_language_has_its_file_and_no_other() -> None:
    assert {file.stem for file in FOLDER.glob("*.toml")} == set(NAMES)
    for code in NAMES:
        table = readings(code)
        assert table is not None
        assert set(table.units) >= {"km", "kg", "°C"}
        assert "$" in table.currencies
        assert len(table.months) == 12 or not table.spaced or code == "ko"
        for names in table.currencies.values():
            assert len(names) in (2, 4)
        assert tomllib.loads((FOLDER / f"{code}.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", ALL)
def test_every_language_counts(language: str) -> None:
    words = [numerals.cardinal(number, language) for number in (0, 1, 7, 21, 99, 100, 1984, 250_000)]
    assert all(words)
    assert len(set(words)) == len(words)
    assert not any(re.search(r"\d", word) for word in words)


def test_a_reading_knows_what_was_written() -> None:
    written = "It costs $20.50, or 15% more."
    reading = normalize(written, "en")

    def of(words: str) -> str:
        start = reading.text.index(words)
        first, last = reading.written(start, start + len(words))
        return written[first:last]

    assert of("costs") == "costs"
    assert of("twenty dollars fifty cents") == "$20.50"
    assert of("dollars") == "$20.50"  # of a number, all of it
    assert of("fifty cents, or") == "$20.50, or"
    assert of("percent") == "15%"
    assert of("more.") == "more."
    assert reading.written(0, len(reading.text)) == (0, len(written))
    assert normalize("plain", "en").written(1, 3) == (1, 3)


ANY = st.text(st.sampled_from("ab Dr.$€%0123456789,.:-/+° km'५年월第@&=()"), max_size=60) | st.text(max_size=40)


ADDRESSES = [
    (
        "en",
        "Add 1/2 cup, 3/4, 1 1/2 cups, 2 3/4, 1½ and ½.",
        "Add one half cup, three quarters, one and a half cups, two and three quarters, one and a half and one half.",
    ),
    (
        "en",
        "Open 24/7 since 9/11, 10/10, 8/10, 50/50, 2/3.",
        "Open twenty-four seven since nine eleven, ten out of ten, eight out of ten, fifty fifty, two thirds.",
    ),
    ("en", "On 1/2/2024", "On January second, twenty twenty-four"),
    ("en", "See https://example.com/a?b=1.", "See example dot com."),
    ("en", "See www.foo-bar.org, or github.com/a/b!", "See foo dash bar dot org, or github dot com!"),
    (
        "en",
        "Mail me@example.org, or j.doe_x+y@mail.example.com.",
        "Mail me at example dot org, or j dot doe underscore x plus y at mail dot example dot com.",
    ),
    ("en", "e.g. this. That is it.Now", "for example this. That is it.Now"),
    (
        "en",
        "v2.0.1, V2.0 and v3, a V8",
        "version two point zero point one, version two point zero and version three, a V eight",
    ),
    (
        "en",
        "192.168.0.1:8080 or 300.1.1.1",
        "one nine two dot one six eight dot zero dot one port eight zero eight zero or three hundred point one point one point one",
    ),
    ("en", "10-20 people", "ten to twenty people"),
    ("en", "He is 5'11\" tall, she 5’2”.", "He is five foot eleven tall, she five foot two."),
    ("en", "#1 of #music", "number one of hashtag music"),
    ("en", "H & M, R&B, @bob", "H and M, R and B, at bob"),
    ("en", "C++ and C#, ~5 km", "C plus plus and C sharp, about five kilometres"),
    ("en", "**bold** `code` _it_ *x* un*believ*able", "bold code it x unbelievable"),
    ("en", "# Heading\n- item\n* one\n> two", "Heading\nitem\none\ntwo"),
    ("en", "[text, 5 km](https://a.com/x_1) and [1]", "text, five kilometres and [one]"),
    ("en", "cut](http://foo.com) here", "cut here"),
    ("en", "yes 😀. 👍🏽 ok a😀b", "yes. ok a b"),
    ("en", "snake_case foo.bar 2**3 a-b", "snake_case foo.bar two**three a-b"),
    (
        "es",
        "Mira https://example.com/a?b=1, o me@example.org, #1",
        "Mira example punto com, o me arroba example punto org, número uno",
    ),
    (
        "es",
        "1.234.567.890 o 10.0.0.1",
        "mil doscientos treinta y cuatro millones quinientos sesenta y siete mil ochocientos noventa o uno cero punto cero punto cero punto uno",
    ),
    ("de", "a@b.de **fett**", "a ät b Punkt de fett"),
    ("ja", "https://example.com/a を見て😀、**太字**", "example.com を見て、太字"),
    ("ru", "https://example.com/a 😀 **ok** 25", "example.com ok двадцать пять"),
]


@pytest.mark.parametrize(("language", "written", "read"), ADDRESSES)
def test_what_is_written_and_not_read_as_it_stands(language: str, written: str, read: str) -> None:
    assert normalize(written, language).text == read


def test_what_is_not_read_keeps_its_place() -> None:
    written = "See [the 5 km](https://a.com/x) of **me** 😀 at a@b.org 👍"
    reading = normalize(written, "en")
    assert reading.text == "See the five kilometres of me at a at b dot org"

    def of(words: str) -> str:
        start = reading.text.index(words)
        first, last = reading.written(start, start + len(words))
        return written[first:last]

    assert of("the") == "[the", "it goes with the word beside it"
    assert of("five") == of("kilometres") == "5 km](https://a.com/x)"
    assert of("b dot") == "a@b.org"
    assert of("of me") == "of **me** 😀"
    assert reading.written(0, len(reading.text)) == (0, len(written))


PARTS = [
    *("https://a.com/b?c=1", "www.x-y.org", "a@b.org", "10.0.0.1:80", "[", "](", ")", "](a.b)", "**", "*", "_", "`"),
    *("\n# ", "\n- ", "#1", "#a", "@", "C++", "5km", "1/2", "½", "1½", "5'11\"", "v2.0", "😀", "👍🏽", " ", "日", "."),
]
WRITTEN = st.lists(st.sampled_from(PARTS), max_size=16).map("".join)


@given(ANY | WRITTEN, st.sampled_from([*ALL]))
def test_any_text_is_read_and_mapped(text: str, language: str) -> None:
    reading = normalize(text, language)
    assert reading.written(0, len(reading.text)) == (0, len(text))
    ends = [reading.written(at, at)[0] for at in range(len(reading.text) + 1)]
    assert ends == sorted(ends)
    assert [reading.written(at, len(reading.text))[1] for at in range(len(reading.text))] == [len(text)] * len(
        reading.text
    )
    layer: Reading | None = reading
    while layer is not None:
        below = text if layer.before is None else layer.before.text
        assert layer.text == below or layer.pieces
        at = under = 0
        for start, end, first, last in layer.pieces:
            assert at <= start <= end
            assert under <= first < last
            assert layer.text[at:start] == below[under:first]
            at, under = end, last
        assert layer.text[at:] == below[under:]
        layer = layer.before


def test_it_takes_no_time() -> None:
    """200 us a clause at the most; the least of several, since other work may run."""
    clause = (
        "On March 5, 2024 at 12:30 pm, Dr. Smith paid $20.50, that is 15% of 3,500 kg, to 21 people for their work."
    )
    least = min(_seconds(clause) for _ in range(30))
    assert least < 200e-6
    assert (
        min(_seconds("Nothing is to be changed in this rather long clause, which has only words.") for _ in range(30))
        < 50e-6
    )


def _seconds(clause: str) -> float:
    began = time.perf_counter()
    normalize(clause, "en")
    return time.perf_counter() - began
