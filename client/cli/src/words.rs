//! A line of commands cut into words, with ZooKeeper's quoting.
//!
//! Blanks separate words. A word that *begins* with `'` or `"` goes to the next quote of the same kind and may hold
//! blanks; there are no escapes. A quote inside of a word is a letter like any other, and a quote that is never closed
//! is passed over.

/// The words of a line.
#[must_use]
pub(crate) fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start_matches(is_blank);
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '"' | '\'' => match rest[1..].split_once(first) {
                Some((word, after)) => (Some(word), after),
                None => (None, &rest[1..]),
            },
            _ => {
                let end = rest.find(is_blank).unwrap_or(rest.len());
                (Some(&rest[..end]), &rest[end..])
            }
        };
        words.extend(word.map(str::to_owned));
        rest = after.trim_start_matches(is_blank);
    }
    words
}

/// The word as it must be written to be read as one word again.
#[must_use]
pub(crate) fn quoted(word: &str) -> String {
    let plain = !word.is_empty() && !word.starts_with(['"', '\'']) && !word.contains(is_blank);
    if plain {
        word.to_owned()
    } else if word.contains('"') {
        format!("'{word}'")
    } else {
        format!("\"{word}\"")
    }
}

/// Where the last word begins, for completion, and what stands there so far, without its opening quote.
#[must_use]
pub(crate) fn last(line: &str) -> (usize, &str) {
    let mut at = 0;
    loop {
        at += line[at..].len() - line[at..].trim_start_matches(is_blank).len();
        let rest = &line[at..];
        let Some(first) = rest.chars().next() else {
            return (at, rest);
        };
        let end = match first {
            '"' | '\'' => match rest[1..].find(first) {
                Some(end) => at + end + 2,
                None => return (at + 1, &rest[1..]),
            },
            _ => at + rest.find(is_blank).unwrap_or(rest.len()),
        };
        if end == line.len() {
            return (at, rest);
        }
        at = end;
    }
}

/// What separates words: ASCII only, as in Java's regular expressions.
const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_separate_words() {
        assert_eq!(split("  ls\t -s   /a  "), ["ls", "-s", "/a"]);
        assert!(split("   ").is_empty());
        assert!(split("").is_empty());
    }

    #[test]
    fn quotes_keep_blanks_and_take_no_escapes() {
        assert_eq!(
            split(r#"set /a "b c" 'd "e'"#),
            ["set", "/a", "b c", "d \"e"]
        );
        assert_eq!(split(r#"set /a "x\"y"#), ["set", "/a", "x\\", "y"]);
        assert_eq!(split("set /a ''"), ["set", "/a", ""]);
    }

    #[test]
    fn quotes_inside_of_a_word_are_letters() {
        assert_eq!(split("ls /a'b' /\"c\""), ["ls", "/a'b'", "/\"c\""]);
    }

    #[test]
    fn a_quote_that_is_not_closed_is_passed_over() {
        assert_eq!(split("ls \"/a"), ["ls", "/a"]);
        assert_eq!(split("ls '/a b"), ["ls", "/a", "b"]);
    }

    #[test]
    fn a_closing_quote_ends_the_word() {
        assert_eq!(split("\"a\"b 'c''d'"), ["a", "b", "c", "d"]);
    }

    #[test]
    fn a_quoted_word_is_read_as_itself() {
        for word in ["a", "", "a b", "\"a", "it's", "'q' r"] {
            assert_eq!(split(&quoted(word)), [word], "{word}");
        }
    }

    #[test]
    fn the_last_word_is_what_completion_goes_on_from() {
        assert_eq!(last(""), (0, ""));
        assert_eq!(last("get"), (0, "get"));
        assert_eq!(last("get "), (4, ""));
        assert_eq!(last("get /a/b"), (4, "/a/b"));
        assert_eq!(last("get '/a b/c"), (5, "/a b/c"));
        assert_eq!(last("set '/a' /b"), (9, "/b"));
    }
}
