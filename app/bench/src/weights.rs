//! How often each operation of a blend is asked: `create=1,set=8,get=45,list=45,delete=1`.

use std::fmt;
use std::str::FromStr;

/// A share for each operation of a blend, as whole numbers of any sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights([u32; KINDS.len()]);

/// The operations of a blend. Their numbers are those of its templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Create,
    Set,
    Get,
    List,
    Delete,
}

impl Weights {
    /// The sum of all.
    pub(crate) fn total(&self) -> u64 {
        self.0.iter().copied().map(u64::from).sum()
    }

    /// The operation that a number below [`Self::total`] falls on.
    #[inline]
    pub(crate) fn pick(&self, number: u64) -> Kind {
        let mut end = 0;
        for (weight, kind) in self.0.iter().zip(ALL) {
            end += u64::from(*weight);
            if number < end {
                return kind;
            }
        }
        Kind::Get
    }
}

impl FromStr for Weights {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut weights = [None; KINDS.len()];
        for part in text.split(',') {
            let (name, weight) = part.split_once('=').unwrap_or((part, ""));
            let kind = KINDS
                .iter()
                .position(|kind| *kind == name)
                .ok_or_else(|| format!("`{name}` is none of {}", KINDS.join(", ")))?;
            let weight: u32 = weight
                .parse()
                .ok()
                .filter(|weight| *weight <= WEIGHT_MAX)
                .ok_or_else(|| format!("`{name}` needs a number up to {WEIGHT_MAX}: {name}=1"))?;
            if weights[kind].replace(weight).is_some() {
                return Err(format!("`{name}` is given twice"));
            }
        }
        let weights = Self(weights.map(Option::unwrap_or_default));
        if weights.total() == 0 {
            return Err("at least one operation needs a weight above 0".to_owned());
        }
        Ok(weights)
    }
}

impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = self.0.iter().zip(KINDS).filter(|(weight, _)| **weight > 0);
        for (index, (weight, kind)) in asked.enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{kind}={weight}")?;
        }
        Ok(())
    }
}

/// Their names, in the order of their numbers.
pub(crate) const KINDS: [&str; 5] = ["create", "set", "get", "list", "delete"];
/// All of them, in the same order.
const ALL: [Kind; KINDS.len()] = [Kind::Create, Kind::Set, Kind::Get, Kind::List, Kind::Delete];
/// Enough for parts of a million.
const WEIGHT_MAX: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_falls_on_the_operation_whose_share_it_is_in() {
        let weights: Weights = "get=2,create=1,delete=3".parse().unwrap();
        assert_eq!(weights.total(), 6);
        let picked: Vec<Kind> = (0..6).map(|number| weights.pick(number)).collect();
        let expected = [
            Kind::Create,
            Kind::Get,
            Kind::Get,
            Kind::Delete,
            Kind::Delete,
            Kind::Delete,
        ];
        assert_eq!(picked, expected);
        assert_eq!(weights.to_string(), "create=1,get=2,delete=3");
    }

    #[test]
    fn what_is_wrong_with_weights_is_named() {
        for (text, told) in [
            ("gte=1", "`gte` is none of create, set, get, list, delete"),
            ("get", "`get` needs a number up to 1000000: get=1"),
            ("get=-1", "`get` needs a number"),
            ("get=2000000", "`get` needs a number"),
            ("get=1,get=2", "`get` is given twice"),
            ("get=0", "at least one"),
            ("", "`` is none of"),
        ] {
            let error = text.parse::<Weights>().unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
