//! What can be ordered, and how it is written.

use std::str::{FromStr, SplitWhitespace};
use std::time::Duration;

use super::{Harm, How, Op};

/// How long something takes that takes until `heal`.
const FOR_EVER: Duration = Duration::from_secs(1 << 40);

/// A line from outside.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Order {
    Rule(Rule),
    Space(u64),
    Step(i64),
    Drift(i64),
    RightClock,
    Heal,
    Struck,
}

/// What happens to operations on some files.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rule {
    op: Op,
    /// What the names of the files begin with.
    prefix: String,
    pub(super) how: How,
    pub(super) is_once: bool,
}

impl Rule {
    pub(super) fn fits(&self, op: Op, name: &str) -> bool {
        self.op == op && name.starts_with(&self.prefix)
    }

    fn parse(op: Op, words: &mut SplitWhitespace<'_>) -> Option<Self> {
        let prefix = words.next()?;
        let how = match words.next()? {
            "late" => How::Late(Duration::from_millis(words.next()?.parse().ok()?)),
            "hang" => How::Late(FOR_EVER),
            "eio" => How::Harm(Harm::Eio),
            "full" => How::Harm(Harm::Full),
            "torn" if op == Op::Write => How::Harm(Harm::Torn),
            "short" if op == Op::Write => How::Harm(Harm::Short),
            "lost" if op == Op::Sync => How::Harm(Harm::Lost),
            _ => return None,
        };
        let is_once = match words.next()? {
            "once" => true,
            "always" => false,
            _ => return None,
        };
        Some(Self {
            op,
            prefix: if prefix == "*" { "" } else { prefix }.to_owned(),
            how,
            is_once,
        })
    }
}

impl FromStr for Order {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let mut words = line.split_whitespace();
        let rule = |op, words: &mut _| Rule::parse(op, words).map(Self::Rule);
        let order = match words.next().unwrap_or_default() {
            "sync" => rule(Op::Sync, &mut words),
            "write" => rule(Op::Write, &mut words),
            "reserve" => rule(Op::Reserve, &mut words),
            "read" => rule(Op::Read, &mut words),
            "create" => rule(Op::Create, &mut words),
            "rename" => rule(Op::Rename, &mut words),
            "space" => number(&mut words).map(Self::Space),
            "clock" => match words.next().unwrap_or_default() {
                "step" => number(&mut words).map(Self::Step),
                "drift" => number(&mut words).map(Self::Drift),
                "right" => Some(Self::RightClock),
                _ => None,
            },
            "heal" => Some(Self::Heal),
            "struck" => Some(Self::Struck),
            _ => None,
        };
        match (order, words.next()) {
            (Some(order), None) => Ok(order),
            _ => Err(format!("no such order: {line}")),
        }
    }
}

fn number<T: FromStr>(words: &mut SplitWhitespace<'_>) -> Option<T> {
    words.next()?.parse().ok()
}
