//! What a file is, by its content alone.

use super::{
    OutputRefusal,
    content::{self, Facts},
    csv::{self, Form},
    json_scan::{self, NotJson},
    walk::Found,
};

pub(super) const CSV: &str = "text/csv";
/// What cannot be told.
const UNKNOWN: &str = "application/octet-stream";

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Media {
    pub(super) name: &'static str,
    /// The rules about JSON have something to say: it is JSON, or would be if it nested less.
    pub(super) json: bool,
}

/// The media type of a file. What is two things at once, or nothing that can be told, is `application/octet-stream`.
pub(super) fn media_type(file: &Found, facts: &Facts) -> Result<Media, OutputRefusal> {
    let unreadable = |error: std::io::Error| content::unreadable(&file.name, &error);
    if facts.text && !facts.empty {
        match json_scan::scan(&mut file.open()?).map_err(unreadable)? {
            Ok(_) => return Ok(Media { name: "application/json", json: true }),
            Err(NotJson::TooDeep) => return Ok(Media { name: UNKNOWN, json: true }),
            Err(NotJson::Other) => {}
        }
    }
    Ok(Media { name: other_type(file, facts)?, json: false })
}

fn other_type(file: &Found, facts: &Facts) -> Result<&'static str, OutputRefusal> {
    if facts.empty {
        return Ok("application/x-empty");
    }
    let magic = infer::get(&facts.head).map(|kind| kind.mime_type());
    if !facts.text {
        return Ok(magic.filter(|_| !is_also_something_else(facts, magic)).unwrap_or(UNKNOWN));
    }
    if let Some(markup) = markup(&facts.head) {
        return Ok(markup);
    }
    let form = csv::form(file.open()?).map_err(|error| content::unreadable(&file.name, &error))?;
    Ok(match (form, magic) {
        (Form::TooLarge, _) => UNKNOWN,
        // A text that also begins like a picture or a program.
        (Form::Regular { columns: 2.. }, Some(_)) => UNKNOWN,
        (Form::Regular { columns: 2.. }, None) => CSV,
        (_, Some(magic)) if !is_also_something_else(facts, Some(magic)) => magic,
        (_, Some(_)) => UNKNOWN,
        (_, None) => "text/plain",
    })
}

/// Formats whose readers do not look at the beginning, or not only there.
fn is_also_something_else(facts: &Facts, magic: Option<&str>) -> bool {
    let contains = |bytes: &[u8], mark: &[u8]| bytes.windows(mark.len()).any(|window| window == mark);
    let zip_based = |kind: &str| {
        kind == "application/zip"
            || kind.contains("openxmlformats")
            || kind.contains("opendocument")
            || matches!(
                kind,
                "application/epub+zip" | "application/java-archive" | "application/vnd.android.package-archive"
            )
    };
    let pdf_elsewhere =
        magic != Some("application/pdf") && contains(&facts.head[..facts.head.len().min(1024)], b"%PDF-");
    let zip_at_end = !magic.is_some_and(zip_based) && contains(&facts.tail, b"PK\x05\x06");
    pdf_elsewhere || zip_at_end
}

/// What a browser would take a text for, by its first tag (WHATWG MIME Sniffing, 7.1), and SVG.
fn markup(head: &[u8]) -> Option<&'static str> {
    const HTML: &[&str] = &[
        "!doctype html",
        "html",
        "head",
        "script",
        "iframe",
        "h1",
        "div",
        "font",
        "table",
        "a",
        "style",
        "title",
        "b",
        "body",
        "br",
        "p",
    ];
    // The head can end within a character.
    let head = String::from_utf8_lossy(head);
    let mut rest = head.trim_start_matches('\u{feff}').trim_start();
    let (mut xml, mut comment) = (false, false);
    loop {
        if let Some(after) = rest.strip_prefix("<?") {
            xml = true;
            rest = after.split_once("?>").map_or("", |(_, rest)| rest);
        } else if let Some(after) = rest.strip_prefix("<!--") {
            comment = true;
            rest = after.split_once("-->").map_or("", |(_, rest)| rest);
        } else if starts_with(rest, "<!doctype svg") {
            xml = true;
            rest = rest.split_once('>').map_or("", |(_, rest)| rest);
        } else {
            break;
        }
        rest = rest.trim_start();
    }
    let tag = rest.strip_prefix('<').unwrap_or_default();
    let is = |name: &str| {
        starts_with(tag, name)
            && tag[name.len()..].chars().next().is_none_or(|c| c.is_whitespace() || c == '>' || c == '/')
    };
    if is("svg") || tag.split_once([' ', '>', '/', '\n', '\t', '\r']).is_some_and(|(name, _)| name.ends_with(":svg")) {
        Some("image/svg+xml")
    } else if HTML.iter().any(|name| is(name)) {
        Some("text/html")
    } else if xml {
        Some("text/xml")
    } else {
        comment.then_some("text/html")
    }
}

fn starts_with(text: &str, beginning: &str) -> bool {
    text.as_bytes().get(..beginning.len()).is_some_and(|start| start.eq_ignore_ascii_case(beginning.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn markup_is_recognised_by_its_first_tag() {
        for (text, expected) in [
            ("<svg xmlns=''>", Some("image/svg+xml")),
            ("<?xml version='1.0'?>\n<!-- x --><!DOCTYPE svg PUBLIC ''>\n<svg>", Some("image/svg+xml")),
            ("<s:svg xmlns:s=''>", Some("image/svg+xml")),
            ("\u{feff} \n<!DOCTYPE HTML>", Some("text/html")),
            ("<ScRiPt>", Some("text/html")),
            ("<p>", Some("text/html")),
            ("<!-- a comment -->\nhello", Some("text/html")),
            ("<?xml version='1.0'?><rows/>", Some("text/xml")),
            ("<pre>", None),
            ("a < b", None),
            ("hello <script>", None),
        ] {
            assert_eq!(markup(text.as_bytes()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_head_is_read_without_harm(head in "(<[?!]?[-a-zé]{0,4}[ >]?|\\PC){0,6}") {
            let _ = markup(head.as_bytes());
        }
    }
}
