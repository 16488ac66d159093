//! What one session wrote, what was acknowledged of it, and whether a value that is read back may be there. Pure.

/// The znodes of one session, written in turn with numbers that only grow.
#[derive(Debug)]
pub(crate) struct Ledger {
    slots: Vec<Slot>,
    attempted: u64,
}

/// What is known of one znode. Number 0 is there from the beginning.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// The greatest number whose write was acknowledged.
    acknowledged: u64,
    /// The greatest number that was sent.
    attempted: u64,
}

/// What a server says of a znode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// It holds this number.
    Number(u64),
    /// It holds something that was never written.
    Foreign,
    /// It does not exist.
    Nothing,
}

impl Ledger {
    /// For so many znodes, at least one.
    pub(crate) fn new(znodes: usize) -> Self {
        Self {
            slots: vec![Slot::default(); znodes],
            attempted: 0,
        }
    }

    /// The next write: which znode and which number.
    pub(crate) fn attempt(&mut self) -> (usize, u64) {
        let slot = (self.attempted % self.slots.len() as u64) as usize;
        self.attempted += 1;
        self.slots[slot].attempted = self.attempted;
        (slot, self.attempted)
    }

    /// The write of this number to this znode was acknowledged.
    pub(crate) fn on_acknowledged(&mut self, slot: usize, number: u64) {
        let acknowledged = &mut self.slots[slot].acknowledged;
        *acknowledged = number.max(*acknowledged);
    }

    /// Why what was found in a znode means that an acknowledged write is lost; `None` when it does not. The last one that
    /// was acknowledged must be there, or one that was sent after it.
    pub(crate) fn judge(&self, slot: usize, found: Found) -> Option<String> {
        let stride = self.slots.len() as u64;
        let slot = &self.slots[slot];
        let sent_after = |number: u64| {
            number > slot.acknowledged
                && number <= slot.attempted
                && (slot.attempted - number).is_multiple_of(stride)
        };
        let found = match found {
            Found::Number(number) if number == slot.acknowledged || sent_after(number) => {
                return None;
            }
            Found::Number(number) => format!("holds {number}"),
            Found::Foreign => "holds what was never written".to_owned(),
            Found::Nothing => "does not exist".to_owned(),
        };
        let Slot {
            acknowledged,
            attempted,
        } = slot;
        Some(format!(
            "{found}; {acknowledged} was acknowledged last, {attempted} was sent last"
        ))
    }
}

/// The data of a znode that holds this number: twenty digits, filled up to `size` bytes.
pub(crate) fn data(number: u64, size: usize) -> Vec<u8> {
    let mut data = format!("{number:0DIGITS$}").into_bytes();
    data.resize(size.max(DIGITS), FILL);
    data
}

/// The number that is in such data.
pub(crate) fn number(data: &[u8]) -> Found {
    let parse = || {
        let (digits, rest) = data.split_at_checked(DIGITS)?;
        let is_ours =
            digits.iter().all(u8::is_ascii_digit) && rest.iter().all(|byte| *byte == FILL);
        is_ours.then(|| str::from_utf8(digits).ok()?.parse().ok())?
    };
    parse().map_or(Found::Foreign, Found::Number)
}

/// As many as the greatest number needs.
pub(crate) const DIGITS: usize = 20;
/// What stands behind them.
const FILL: u8 = b'z';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_acknowledged_number_or_one_sent_after_it_may_be_there() {
        let mut ledger = Ledger::new(3);
        let sent: Vec<(usize, u64)> = (0..12).map(|_| ledger.attempt()).collect();
        assert_eq!(sent[..4], [(0, 1), (1, 2), (2, 3), (0, 4)]);
        // Of znode 0 with 1, 4, 7 and 10: 4 is acknowledged, 7 and 10 are not known.
        ledger.on_acknowledged(0, 1);
        ledger.on_acknowledged(0, 4);
        for number in [4, 7, 10] {
            assert_eq!(ledger.judge(0, Found::Number(number)), None, "{number}");
        }
        for number in [0, 1, 5, 9, 13] {
            assert!(ledger.judge(0, Found::Number(number)).is_some(), "{number}");
        }
        assert!(ledger.judge(0, Found::Foreign).is_some());
        let told = ledger.judge(0, Found::Nothing).unwrap();
        assert_eq!(
            told,
            "does not exist; 4 was acknowledged last, 10 was sent last"
        );
    }

    #[test]
    fn a_znode_that_was_never_written_holds_its_first_number() {
        let ledger = Ledger::new(2);
        assert_eq!(ledger.judge(1, Found::Number(0)), None);
        assert!(ledger.judge(1, Found::Number(1)).is_some());
    }

    #[test]
    fn data_gives_its_number_back_and_nothing_else_does() {
        for (value, size) in [(0, 20), (17, 100), (u64::MAX, 20)] {
            assert_eq!(number(&data(value, size)), Found::Number(value));
        }
        for foreign in [
            &b""[..],
            b"17",
            b"0000000000000000001x",
            b"00000000000000000017zzy",
        ] {
            assert_eq!(number(foreign), Found::Foreign);
        }
    }
}
