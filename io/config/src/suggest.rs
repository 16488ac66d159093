//! The nearest known word to one that is not known.

/// The candidate nearest to `word`, if one is near enough to be meant.
///
/// Letters of the other case cost nothing extra beyond the exchange of one letter in all, since
/// `clientport` for `clientPort` is the commonest slip.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Two slips in a short key, a third of the letters in a long one.
    let slips_max = (word.chars().count() / 3).clamp(1, 4);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let folded = distance(&word.to_ascii_lowercase(), &candidate.to_ascii_lowercase());
        let slips = if word == candidate { 0 } else { folded.max(1) };
        if slips <= slips_max && best.is_none_or(|(fewest, _)| slips < fewest) {
            best = Some((slips, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// How many letters must be inserted, dropped, exchanged or swapped with their neighbour to turn
/// one into the other.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(LETTERS_MAX).collect();
    let b: Vec<char> = b.chars().take(LETTERS_MAX).collect();
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let exchanged = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut fewest = exchanged.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                fewest = fewest.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = fewest;
        }
    }
    rows[a.len()][b.len()]
}

/// No known key is longer; what is longer is near to none, and the table stays small whatever the
/// input.
const LETTERS_MAX: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 5] = [
        "clientPort",
        "tickTime",
        "dataDir",
        "dataLogDir",
        "autopurge.purgeInterval",
    ];

    #[test]
    fn slips_find_the_key_that_was_meant() {
        for (slip, meant) in [
            ("clientport", "clientPort"),
            ("clinetPort", "clientPort"),
            ("tickTme", "tickTime"),
            ("datadir", "dataDir"),
            ("datalogdir", "dataLogDir"),
            ("autopurge.purgeIntervall", "autopurge.purgeInterval"),
        ] {
            assert_eq!(nearest(slip, KEYS), Some(meant), "{slip}");
        }
    }

    #[test]
    fn what_is_far_from_everything_gets_no_suggestion() {
        assert_eq!(nearest("frobnicate", KEYS), None);
        assert_eq!(nearest("", KEYS), None);
        assert_eq!(nearest(&"x".repeat(100_000), KEYS), None);
    }
}
