//! Java's property syntax: what membership texts and dynamic files are written in.

use crate::MembershipError;

/// The pairs of a text in order of appearance.
pub(crate) fn parse(text: &str) -> Result<Vec<(String, String)>, MembershipError> {
    let mut pairs = Vec::new();
    let mut lines = natural_lines(text).into_iter().enumerate();
    while let Some((at, first)) = lines.next() {
        let first = first.trim_start_matches(BLANKS);
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut line = first.to_owned();
        while continues(&line) {
            line.pop();
            let Some((_, next)) = lines.next() else { break };
            line.push_str(next.trim_start_matches(BLANKS));
        }
        let (key, value) = split(&line);
        let escape = || MembershipError::Escape { line: at + 1 };
        let key = unescape(key).ok_or_else(escape)?;
        let value = unescape(value).ok_or_else(escape)?;
        pairs.push((key.trim().to_owned(), value.trim().to_owned()));
    }
    Ok(pairs)
}

const BLANKS: [char; 3] = [' ', '\t', '\x0c'];

/// Lines end in `\n`, `\r` or both.
fn natural_lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = Vec::new();
    for part in text.split('\n') {
        let part = part.strip_suffix('\r').unwrap_or(part);
        lines.extend(part.split('\r'));
    }
    lines
}

/// Whether the line ends in an odd number of backslashes, and so goes on in the next.
fn continues(line: &str) -> bool {
    let trailing = line.bytes().rev().take_while(|byte| *byte == b'\\').count();
    trailing % 2 == 1
}

/// Key and value, still escaped: the key ends at the first unescaped `=`, `:` or blank.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line
        .char_indices()
        .find(|(_, c)| {
            let ends = !escaped && (matches!(c, '=' | ':') || BLANKS.contains(c));
            escaped = !escaped && *c == '\\';
            ends
        })
        .map_or(line.len(), |(at, _)| at);
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start_matches(BLANKS);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(BLANKS))
}

fn unescape(raw: &str) -> Option<String> {
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            None => {}
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\x0c'),
            Some('u') => out.push(utf16_unit(&mut chars)?),
            Some(other) => out.push(other),
        }
    }
    Some(out)
}

/// Four hexadecimal digits; half of a surrogate pair becomes the replacement character, which no key or host accepts.
fn utf16_unit(chars: &mut std::str::Chars<'_>) -> Option<char> {
    let mut unit = 0;
    for _ in 0..4 {
        unit = unit * 16 + chars.next()?.to_digit(16)?;
    }
    Some(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> (String, String) {
        let mut pairs = parse(text).expect("a text");
        assert_eq!(pairs.len(), 1, "{pairs:?}");
        pairs.remove(0)
    }

    #[test]
    fn keys_end_at_an_equals_sign_a_colon_or_a_blank() {
        for text in ["k=v", "k:v", "k v", " k \t= v", "k\t:v "] {
            assert_eq!(one(text), ("k".to_owned(), "v".to_owned()), "{text:?}");
        }
        assert_eq!(one("k=a:b=c").1, "a:b=c");
        assert_eq!(one("k"), ("k".to_owned(), String::new()));
    }

    #[test]
    fn comments_and_empty_lines_say_nothing() {
        assert_eq!(parse("# a\n\n  ! b=c\r\n\r").expect("comments"), Vec::new());
    }

    #[test]
    fn a_backslash_escapes_and_continues() {
        assert_eq!(one("a\\=b=c\\:d").0, "a=b");
        assert_eq!(
            one("k=one\\\n   two"),
            ("k".to_owned(), "onetwo".to_owned())
        );
        assert_eq!(one("k=\\u0041").1, "A");
        assert_eq!(one("k=v\\").1, "v");
    }

    #[test]
    fn a_broken_unicode_escape_is_an_error() {
        for text in ["a=b\nk=\\u00", "a=b\nk=\\u00zz"] {
            assert_eq!(parse(text), Err(MembershipError::Escape { line: 2 }));
        }
    }
}
