"""Documents for tests, written by hand: PDF, Word, PowerPoint, EPUB and e-mail."""

import base64
import io
import zipfile
import zlib
from email.message import EmailMessage

from PIL import Image, ImageDraw, ImageFont

# one page with "hidden", which a password opens; made with reportlab's StandardEncryption
LOCKED = zlib.decompress(
    base64.b85decode(
        "c-pO1&5zqe6u<il65@a~NJQ+?-SvF>L)~s=Cw9APcQ+*IuFyIl$DX7vSv%O1HoHiO3jzT`LR_d26$iM0;DA)|50pOu"
        "331@afnKUg9N@qOo}Fyh5Tss+<c#0f@4es5d*epC<*$<srZql#|Ghh?BPUs|u7(42Nv1Lnm5dR1pg4=BM>17tC7Z~!"
        "$fkKDS2cn#$_6*I%}q`B38El&w5=^org5pJHM1KQ($4@uzbwZ$rAnd@>0TOTagvUZevqV2S|n$R-S9}F5>)R_2kLkN"
        "LJ$7Qd;tq!)l#uqswSAA)B;&$JxJe?aT2=O3>|`uk+8)EHHCpJPBtvdwoo7G?JzIdne&K_oHHy?#jGrw%q{Iai@H()"
        "lwNL&-jg$+w0#tgq`O#~i*+0Ip+Er36l^1e>%BZoE67r>p;IbtaIR6|H7ccPCyT-9S|N9{bm3i`7CHxLhAJFqqZ)>&"
        "VK`HDJ<HLG9xzPikD$*7jPo}t2@|pk7`Y5plBKP())i3FfKm}q#sg~baX?KI1r&?R5X~UaAYd!u%zzS>ysXY`1&o*h"
        "GnqVvdwkX_^7vMk#|2se0f_!j+2NGpX(aO!3LqH3F=mvpYv3aK0RwQ%FbKTzpa8@KcraKEW(Am<#>uOoucESxRXn7E"
        "l(c}CGL&7|Eo*x1Ce({ps{@5zy&)r*lJj%QOaL4|Uvi&8QVO^X$dI7q+e_3~p1DGeLc9PwBow&f)v8}66Bt0<564Bl"
        "MU48~C1V9l^{xujILyI&4{ch4`JTsoLkR3QncJj<nzrdVUdy(dP22SZW84%Lb4+G=RQN65C6rUww}GhvZQDlc9GVw~"
        "TEB)iiDQ@!M7fS_2~KTpF^_r8CiYCn62kR~W4X*1!p26c<yyXN5!3fu7Nyjo!Ue#6L~0bwe+=xjnlSxJ0<Ca}Sk>J9"
        "`g|0%P-~ezjHA<SZf{$nC8KIy{4uoBLI9+zG99Vw$TmuxLP2*PY2P=#8Q@!A{dUl~^JMSBtabaxXT~2q{d(~B{_nSc"
        "`s3bn!_Qv4`{#lCh4&QS`}l$T<x8ErA3nP~-T&q1QS$B&zutfNFnHzjPfqU5#M;GoF0D<!{`A}LcGjPG^IZEa<NoS{"
        "zo6VjrbXeiTn;siYz;s9Avhr>&=5V+8F157mh?<#(<L3T?Ij(@%YNL%OFEk`#S+5#l8$0_rc-&CjAdT!I$YEF@kAk`"
        "y72Yw7Sawk4Pu8v7!i$ZGqyR8Fdq)2F_1&auwme>$9wd(M(qnU`tL8$`Z|ge=!k!Pi=d2jm?1GQsgq?2@%ei<IgzmG"
        ")xn3ks!oA0%hDPRZ_n5M2D}CG@c"
    )
)


def pdf(pages, title="", author=""):
    """Return a PDF whose pages hold these lines; a line that begins with "# " is printed as a heading."""
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    kids = []
    for lines in pages:
        shown, y = [], 780
        for line in lines:
            size = 24 if line.startswith("# ") else 11
            y -= 2 * size
            escaped = line.removeprefix("# ").replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
            shown.append(f"BT /F1 {size} Tf 60 {y} Td ({escaped}) Tj ET")
        stream = "\n".join(shown)
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
        kids.append(f"{len(objects) + 1} 0 R")
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {len(objects)} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    objects.append(f"<< /Title ({title}) /Author ({author}) /CreationDate (D:20260203040506Z) >>")
    out, places = "%PDF-1.4\n", []
    for number, each in enumerate(objects, start=1):
        places.append(len(out))
        out += f"{number} 0 obj\n{each}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    root = f"<< /Size {len(objects) + 1} /Root 1 0 R /Info {len(objects)} 0 R >>"
    end = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer\n{root}\n"
    return (f"{out}{end}startxref\n{len(out)}\n%%EOF").encode("latin-1")


def scan(text):
    """Return a PDF of one page that is an image of a text."""
    image = Image.new("RGB", (1200, 400), "white")
    ImageDraw.Draw(image).text((60, 150), text, fill="black", font=ImageFont.load_default(48))
    buffer = io.BytesIO()
    image.save(buffer, "PDF")
    return buffer.getvalue()


def _zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_CORE = "http://schemas.openxmlformats.org/package/2006"


def _core(title, author):
    return (
        f'<cp:coreProperties xmlns:cp="{_CORE}/metadata/core-properties" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f"<dc:title>{title}</dc:title><dc:creator>{author}</dc:creator>"
        '<dcterms:created xsi:type="dcterms:W3CDTF">2026-02-03T04:05:06Z</dcterms:created>'
        "</cp:coreProperties>"
    )


def _package(main, kind, files, title, author):
    """Return an Office file whose main part, a path, is of a content type."""
    relations = (
        f'<Relationships xmlns="{_RELATIONS}"><Relationship Id="r1" Type="{_OFFICE}/officeDocument" '
        f'Target="{main}"/><Relationship Id="r2" Type="{_CORE}/relationships/metadata/core-properties" '
        'Target="docProps/core.xml"/></Relationships>'
    )
    types = (
        f'<Types xmlns="{_TYPES}"><Default Extension="rels" ContentType="application/'
        'vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType='
        '"application/xml"/>'
        f'<Override PartName="/{main}" ContentType="{kind}"/></Types>'
    )
    return _zipped(
        {
            "[Content_Types].xml": types,
            "_rels/.rels": relations,
            "docProps/core.xml": _core(title, author),
            **files,
        }
    )


def docx(blocks, title="", author=""):
    """Return a Word file of these paragraphs; one that begins with "# " or "## " is a heading."""
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    body = ""
    for block in blocks:
        level = len(block) - len(block.lstrip("#"))
        style = f'<w:pPr><w:pStyle w:val="Heading{level}"/></w:pPr>' if level else ""
        body += f"<w:p>{style}<w:r><w:t>{block.lstrip('# ')}</w:t></w:r></w:p>"
    document = f'<w:document xmlns:w="{space}"><w:body>{body}</w:body></w:document>'
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="Heading{level}"><w:name w:val="heading {level}"/></w:style>'
        for level in (1, 2)
    )
    files = {
        "word/document.xml": document,
        "word/styles.xml": f'<w:styles xmlns:w="{space}">{styles}</w:styles>',
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{_RELATIONS}"><Relationship Id="r1" '
        f'Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>',
    }
    return _package("word/document.xml", kind, files, title, author)


def pptx(slides, title="", author=""):
    """Return a PowerPoint file; each slide is a title and a text."""
    main = "http://schemas.openxmlformats.org/presentationml/2006/main"
    drawing = "http://schemas.openxmlformats.org/drawingml/2006/main"
    spaces = f'xmlns:p="{main}" xmlns:a="{drawing}" xmlns:r="{_OFFICE}"'
    files, ids, relations = {}, "", ""
    for number, texts in enumerate(slides, start=1):
        shapes = "".join(
            f'<p:sp><p:nvSpPr><p:cNvPr id="{at + 2}" name="s{at}"/><p:cNvSpPr/><p:nvPr><p:ph type="{kind}"/>'
            f"</p:nvPr></p:nvSpPr><p:spPr/><p:txBody><a:bodyPr/><a:p><a:r><a:t>{text}</a:t></a:r></a:p>"
            "</p:txBody></p:sp>"
            for at, (kind, text) in enumerate(zip(("title", "body"), texts, strict=True))
        )
        files[f"ppt/slides/slide{number}.xml"] = (
            f"<p:sld {spaces}><p:cSld><p:spTree><p:nvGrpSpPr><p:cNvPr id='1' name=''/><p:cNvGrpSpPr/>"
            "<p:nvPr/>"
            f"</p:nvGrpSpPr><p:grpSpPr/>{shapes}</p:spTree></p:cSld></p:sld>"
        )
        ids += f'<p:sldId id="{255 + number}" r:id="r{number}"/>'
        relations += (
            f'<Relationship Id="r{number}" Type="{_OFFICE}/slide" Target="slides/slide{number}.xml"/>'
        )
    files["ppt/presentation.xml"] = (
        f"<p:presentation {spaces}><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>"
    )
    files["ppt/_rels/presentation.xml.rels"] = (
        f'<Relationships xmlns="{_RELATIONS}">{relations}</Relationships>'
    )
    kind = "application/vnd.openxmlformats-officedocument.presentationml.presentation.main+xml"
    return _package("ppt/presentation.xml", kind, files, title, author)


def epub(chapters, title="", author=""):
    """Return an EPUB book; each chapter is a heading and a text."""
    files = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container version="1.0" '
        'xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile full-path="book.opf" '
        'media-type="application/oebps-package+xml"/></rootfiles></container>',
    }
    names = [f"c{number}" for number in range(len(chapters))]
    manifest = "".join(
        f'<item id="{name}" href="{name}.xhtml" media-type="application/xhtml+xml"/>' for name in names
    )
    spine = "".join(f'<itemref idref="{name}"/>' for name in names)
    files["book.opf"] = (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title><dc:creator>{author}'
        f"</dc:creator><dc:date>2026-02-03</dc:date></metadata><manifest>{manifest}</manifest><spine>{spine}"
        "</spine></package>"
    )
    for name, (heading, text) in zip(names, chapters, strict=True):
        files[f"{name}.xhtml"] = (
            f'<html xmlns="http://www.w3.org/1999/xhtml"><body><h1>{heading}</h1><p>{text}</p></body></html>'
        )
    return _zipped(files)


def email(text, title="", author=""):
    """Return an e-mail."""
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = title, author, "bob@example.org"
    message["Date"] = "Tue, 03 Feb 2026 04:05:06 +0000"
    message.set_content(text)
    return bytes(message)


def html(text, title="", author=""):
    """Return an HTML page with a heading over a text, a menu and a script."""
    return (
        f'<html><head><title>{title}</title><meta name="author" content="{author}"><script>x()</script>'
        f"</head><body><h1>Top</h1><h2>Below</h2><p>{text} "
        "<a href='https://example.org/a_b'>linked</a></p></body></html>"
    ).encode()
