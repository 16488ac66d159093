//! Names matched by `*` (any letters) and `?` (one letter).

/// Whether the whole name matches the pattern. Time is at most the product of both lengths.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut star) = (0, None);
    let mut tried = 0;
    while tried < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, tried));
                at += 1;
            }
            Some('?') => {
                at += 1;
                tried += 1;
            }
            Some(letter) if *letter == name[tried] => {
                at += 1;
                tried += 1;
            }
            // The last star takes one letter more.
            _ => match star {
                Some((place, taken)) => {
                    star = Some((place, taken + 1));
                    at = place + 1;
                    tried = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_take_any_letters_and_question_marks_one() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*", "abc", true),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("?", "a", true),
            ("?", "", false),
            ("lock-*-??", "lock-x-y-01", true),
            ("", "", true),
            ("", "a", false),
            ("a", "a", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
