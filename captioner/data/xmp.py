"""The description in an XMP packet (ISO 16684-1): Dublin Core's `dc:description`, a text in several languages.

What else is in a packet stays as it is, byte for byte: only the description's element is written anew.
"""

import re
from collections.abc import Mapping
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from captioner.errors import DataError

DEFAULT = "x-default"
"""The language of what is shown to everybody."""

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DC = "http://purl.org/dc/elements/1.1/"
_XML = "http://www.w3.org/XML/1998/namespace"
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # in XML
_SIZE = 64 << 20  # bytes of a packet; a photo's takes kilobytes, some hold pictures
_EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
    f' <rdf:RDF xmlns:rdf="{_RDF}">\n'
    " </rdf:RDF>\n"
    "</x:xmpmeta>\n"
    '<?xpacket end="w"?>\n'
).encode()


def read_description(packet: bytes, name: str) -> dict[str, str]:
    """The description by language; empty if there is none.

    Args:
        packet: the XMP.
        name: of the file, for errors.

    Raises:
        DataError: it is no XMP.
    """
    return _Packet(packet, name).description


def with_description(packet: bytes | None, texts: Mapping[str, str], name: str) -> bytes:
    """A packet with this description; all else stays.

    Args:
        packet: the XMP that is there; None for a new one.
        texts: the description by language, all of it.
        name: of the file, for errors.

    Raises:
        DataError: what is there is no XMP that can be changed.
    """
    packet = _EMPTY if packet is None else packet
    found = _Packet(packet, name)
    items = "".join(
        f"<rdf:li xml:lang={quoteattr(key)}>{escape(_FORBIDDEN.sub(' ', text))}</rdf:li>" for key, text in texts.items()
    )
    element = f'<dc:description xmlns:dc="{_DC}"><rdf:Alt xmlns:rdf="{_RDF}">{items}</rdf:Alt></dc:description>'
    if found.element is not None:
        start, end = found.element
    elif found.end is not None:
        about = quoteattr(found.about)
        element = f' <rdf:Description xmlns:rdf="{_RDF}" rdf:about={about}>{element}</rdf:Description>\n'
        start = end = found.end
    else:
        raise DataError(f"{name}: XMP without RDF, which cannot be added to; move it away.")
    encoded = element.encode() if found.utf8 else element.encode("ascii", "xmlcharrefreplace")
    return packet[:start] + encoded + packet[end:]


def described(texts: Mapping[str, str], language: str) -> bool:
    """Whether a description says something in a language, or to everybody in a language that it does not name."""
    others = any(text.strip() for key, text in texts.items() if key != DEFAULT)
    spoken = any(text.strip() for key, text in texts.items() if key.partition("-")[0].lower() == language)
    return spoken or (bool(texts.get(DEFAULT, "").strip()) and not others)


def all_descriptions(texts: Mapping[str, str], caption: str, language: str) -> dict[str, str]:
    """A description with one more language; the first one is for everybody."""
    there = {key: text for key, text in texts.items() if text.strip()}
    return {DEFAULT: there.get(DEFAULT, caption), **there, language: caption}


class _Packet:
    """Where a packet's description stands, and what it says.

    Attributes:
        description: by language.
        element: first byte of the description's element and the one after it; None if there is none.
        end: the byte before which further elements may stand: where RDF ends.
        about: what the packet is about, usually nothing.
        utf8: whether that is its encoding.
    """

    def __init__(self, packet: bytes, name: str) -> None:
        self.description: dict[str, str] = {}
        self.element: tuple[int, int] | None = None
        self.end: int | None = None
        self.about = ""
        self.utf8 = True
        self._packet = packet
        self._open: list[str] = []
        self._empty = True  # whether nothing has come since the latest tag opened
        self._start = 0
        self._language: str | None = None
        if len(packet) > _SIZE:
            raise DataError(f"{name}: no XMP packet has {len(packet):,} bytes.")
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.StartElementHandler = self._begin
        self._parser.EndElementHandler = self._finish
        self._parser.CharacterDataHandler = self._text
        self._parser.EntityDeclHandler = self._refuse
        self._parser.XmlDeclHandler = self._declare
        if packet.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise DataError(f"{name}: XMP in UTF-16, which is not changed; convert it to UTF-8.")
        try:
            self._parser.Parse(packet.rstrip(b"\0 "), True)
        except (expat.ExpatError, ValueError) as error:
            raise DataError(f"{name}: not XMP that can be changed ({error}).") from None

    def _begin(self, tag: str, attributes: dict[str, str]) -> None:
        depth = self._open.count(f"{_RDF} RDF")
        if tag == f"{_RDF} Description" and self._open and self._open[-1] == f"{_RDF} RDF":
            self.about = attributes.get(f"{_RDF} about", self.about)
            if f"{_DC} description" in attributes:
                raise ValueError("its description is an attribute, which has no language")
        if tag == f"{_DC} description" and depth and self.element is None and self._open[-1] == f"{_RDF} Description":
            self._start = self._parser.CurrentByteIndex
        if tag == f"{_RDF} li" and f"{_DC} description" in self._open:
            self._language = attributes.get(f"{_XML} lang", DEFAULT)
            self.description.setdefault(self._language, "")
        self._open.append(tag)
        self._empty = True

    def _text(self, text: str) -> None:
        self._empty = False
        if self._language is not None:
            self.description[self._language] += text

    def _finish(self, tag: str) -> None:
        self._open.pop()
        at = self._parser.CurrentByteIndex
        # of an empty element the end is reported behind it, of another one where its end tag begins
        closed = self._empty and self._packet[at - 2 : at] == b"/>"
        self._empty = False
        if tag == f"{_RDF} li":
            self._language = None
        elif tag == f"{_DC} description" and self.element is None and self._open[-1:] == [f"{_RDF} Description"]:
            self.element = self._start, at if closed else self._packet.index(b">", at) + 1
        elif tag == f"{_RDF} RDF" and not closed:
            self.end = at

    def _declare(self, version: str, encoding: str | None, standalone: int) -> None:
        self.utf8 = encoding is None or encoding.lower() in ("utf-8", "utf8")

    def _refuse(self, *_: object) -> None:
        raise ValueError("it declares entities")
